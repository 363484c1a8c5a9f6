// input_grad of blocks of 8 rows by 1 input; bf16 operands from textures.
const HEIGHT = 8u; const PER = 2u; const LOADS = 2u; const EACH = 4u; const DOWN = 1u; const ACROSS = 8u;
//#use ops/packed/input_grad_part
//#use ops/packed/placed_list
//#use ops/packed/values_texels
//#use ops/packed/x_narrow
//#use ops/packed/d_y_narrow
//#use ops/packed/out_narrow
