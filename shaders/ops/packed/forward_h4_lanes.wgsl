// forward of blocks of 4 rows by 1 input, entries shared by lanes; operands from textures: for software adapters.
const HEIGHT = 4u; const PER = 1u; const LOADS = 4u; const EACH = 4u;
//#use ops/packed/forward_lanes_part
//#use ops/packed/columns_list
//#use ops/packed/values_texels
//#use ops/linear_x_texels
//#use ops/packed/x_wide
//#use ops/packed/out_wide
