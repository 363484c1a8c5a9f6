// forward of blocks of 4 rows by 1 input; operands from buffers, a row of 32 invocations a row of blocks: for GPUs.
const HEIGHT = 4u; const QUADS = 1u; const EACH = 1u; const DOWN = 2u; const ACROSS = 32u;
//#use ops/packed/forward_part
//#use ops/packed/columns_list
//#use ops/packed/values_scalars
//#use ops/linear_x_quads
