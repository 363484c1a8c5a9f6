// input_grad of weights kept one by one; operands from buffers, a row of 32 invocations an input: for GPUs.
const HEIGHT = 1u; const QUADS = 1u; const EACH = 1u; const DOWN = 2u; const ACROSS = 32u;
//#use ops/packed/input_grad_part
//#use ops/packed/values_scalars
//#use ops/linear_x_quads
//#use ops/linear_d_y_quads
