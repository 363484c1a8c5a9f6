// linear_weight_grad_block, 10 rows by 4 quads of inputs an invocation, 8 invocations side by side.
// Operands come from textures. Needs inner % 4 == 0.
const ROWS = 10u; const INPUTS = 4u; const DOWN = 1u; const ACROSS = 8u; const PER = 1u;
//#use ops/linear_weight_grad_block
//#use ops/linear_d_weight_quads
//#use ops/linear_x_texels
//#use ops/packed/x_wide
//#use ops/linear_d_y_texels
