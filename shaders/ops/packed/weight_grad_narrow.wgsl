// weight_grad of weights kept one by one, 4 entries a chunk; bf16 operands from textures.
const HEIGHT = 1u; const PER = 2u; const EACH = 4u; const WG = 8u;
//#use ops/packed/weight_grad_part
//#use ops/packed/columns_list
//#use ops/packed/x_narrow
//#use ops/packed/d_y_narrow
