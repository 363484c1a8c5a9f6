// linear_weight_grad_block, 32 rows by 4 quads of inputs an invocation, 8 invocations side by side.
// Operands come from textures, x as bf16. Needs inner % 4 == 0 and cols % 8 == 0.
const ROWS = 32u; const INPUTS = 4u; const DOWN = 1u; const ACROSS = 8u; const PER = 2u;
//#use ops/linear_weight_grad_block
//#use ops/linear_d_weight_quads
//#use ops/packed/x_narrow
//#use ops/linear_d_y_texels
