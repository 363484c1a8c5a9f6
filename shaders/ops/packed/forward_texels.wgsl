// forward of weights kept one by one; operands from textures: for software adapters.
const HEIGHT = 1u; const PER = 1u; const LOADS = 4u; const EACH = 4u; const DOWN = 1u; const ACROSS = 8u;
//#use ops/packed/forward_part
//#use ops/packed/columns_list
//#use ops/packed/values_scalars
//#use ops/linear_x_texels
//#use ops/packed/x_wide
//#use ops/packed/out_wide
