// forward of weights kept one by one; rows split among 4 invocations; operands from buffers: for GPUs.
const HEIGHT = 1u; const SLICES = 4u; const ACROSS = 32u;
//#use ops/packed/forward_split_part
//#use ops/packed/columns_list
//#use ops/packed/values_scalars
//#use ops/linear_x_quads
//#use ops/packed/x_wide
//#use ops/packed/out_wide
