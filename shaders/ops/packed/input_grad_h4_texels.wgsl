// input_grad of blocks of 4 rows by 1 input; operands from textures: for software adapters.
const HEIGHT = 4u; const PER = 1u; const LOADS = 4u; const EACH = 4u; const DOWN = 1u; const ACROSS = 8u;
//#use ops/packed/input_grad_part
//#use ops/packed/placed_list
//#use ops/packed/values_texels
//#use ops/linear_x_texels
//#use ops/packed/x_wide
//#use ops/linear_d_y_texels
//#use ops/packed/d_y_wide
//#use ops/packed/out_wide
