// input_grad of weights kept one by one; 8 columns an invocation; operands from buffers: for GPUs.
const HEIGHT = 1u; const PER = 1u; const LOADS = 2u; const EACH = 1u; const DOWN = 4u; const ACROSS = 16u;
//#use ops/packed/input_grad_part
//#use ops/packed/placed_list
//#use ops/packed/values_scalars
//#use ops/linear_x_quads
//#use ops/packed/x_wide
//#use ops/linear_d_y_quads
//#use ops/packed/d_y_wide
//#use ops/packed/out_wide
