// forward of blocks of 8 rows by 1 input, entries shared by lanes; bf16 operands from textures: for software adapters.
const HEIGHT = 8u; const PER = 2u; const LOADS = 2u; const EACH = 4u;
//#use ops/packed/forward_lanes_part
//#use ops/packed/columns_list
//#use ops/packed/values_texels
//#use ops/packed/x_narrow
//#use ops/packed/out_narrow
