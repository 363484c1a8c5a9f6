// forward of an N:M weight, entries shared by lanes; operands from textures: for software adapters.
const HEIGHT = 1u; const PER = 1u; const LOADS = 4u; const EACH = 4u;
//#use ops/packed/forward_lanes_part
//#use ops/packed/columns_groups
//#use ops/packed/values_scalars
//#use ops/linear_x_texels
//#use ops/packed/x_wide
//#use ops/packed/out_wide
