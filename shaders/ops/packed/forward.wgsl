// forward of weights kept one by one; operands from buffers, a row of 32 invocations a row of blocks: for GPUs.
const HEIGHT = 1u; const QUADS = 1u; const EACH = 1u; const DOWN = 2u; const ACROSS = 32u;
//#use ops/packed/forward_part
//#use ops/packed/columns_list
//#use ops/packed/values_scalars
//#use ops/linear_x_quads
