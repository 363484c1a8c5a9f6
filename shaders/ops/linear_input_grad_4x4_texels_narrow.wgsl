// linear_input_grad_block, 4 quads of inputs by 4 quads of columns an invocation, 8 invocations side by side.
// Operands come from textures. Needs inner % 4 == 0. The result is bf16: cols % 8 == 0.
const INPUTS = 4u; const QUADS = 4u; const DOWN = 1u; const ACROSS = 8u; const PER = 1u;
//#use ops/linear_input_grad_block
//#use ops/linear_weight_texels
//#use ops/linear_x_texels
//#use ops/packed/x_wide
//#use ops/linear_d_y_texels
//#use ops/linear_d_x_narrow
