// weight_grad of an N:M weight, 8 entries a chunk; operands from textures: for software adapters.
const HEIGHT = 1u; const PER = 1u; const EACH = 8u; const WG = 8u;
//#use ops/packed/weight_grad_part
//#use ops/packed/columns_groups
//#use ops/linear_x_texels
//#use ops/packed/x_wide
//#use ops/linear_d_y_texels
//#use ops/packed/d_y_wide
