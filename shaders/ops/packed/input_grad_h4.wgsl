// input_grad of blocks of 4 rows by 1 input; operands from buffers: for GPUs.
const HEIGHT = 4u; const PER = 1u; const LOADS = 1u; const EACH = 1u; const DOWN = 2u; const ACROSS = 32u;
//#use ops/packed/input_grad_part
//#use ops/packed/placed_list
//#use ops/packed/values_scalars
//#use ops/linear_x_quads
//#use ops/packed/x_wide
//#use ops/linear_d_y_quads
//#use ops/packed/d_y_wide
//#use ops/packed/out_wide
