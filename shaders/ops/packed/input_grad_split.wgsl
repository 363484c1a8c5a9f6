// input_grad of weights kept one by one; inputs split among 4 invocations; operands from buffers: for GPUs.
const HEIGHT = 1u; const SLICES = 4u; const ACROSS = 32u;
//#use ops/packed/input_grad_split_part
//#use ops/packed/placed_list
//#use ops/packed/values_scalars
//#use ops/linear_x_quads
//#use ops/packed/x_wide
//#use ops/linear_d_y_quads
//#use ops/packed/d_y_wide
//#use ops/packed/out_wide
