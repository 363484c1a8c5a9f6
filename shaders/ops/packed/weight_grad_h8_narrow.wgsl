// weight_grad of blocks of 8 rows by 1 input, 4 entries a chunk; bf16 operands from textures.
const HEIGHT = 8u; const PER = 2u; const EACH = 4u; const WG = 8u;
//#use ops/packed/weight_grad_part
//#use ops/packed/columns_list
//#use ops/packed/x_narrow
//#use ops/packed/d_y_narrow
