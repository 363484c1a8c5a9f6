// forward of weights kept one by one; 4 rows an invocation; operands from buffers: for GPUs.
const HEIGHT = 1u; const PER = 1u; const LOADS = 1u; const EACH = 4u; const DOWN = 2u; const ACROSS = 32u;
//#use ops/packed/forward_part
//#use ops/packed/columns_list
//#use ops/packed/values_scalars
//#use ops/linear_x_quads
//#use ops/packed/x_wide
//#use ops/packed/out_wide
