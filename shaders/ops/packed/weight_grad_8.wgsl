// weight_grad of weights kept one by one, 8 entries a chunk; operands from buffers: for GPUs.
const HEIGHT = 1u; const PER = 1u; const EACH = 8u; const WG = 64u;
//#use ops/packed/weight_grad_part
//#use ops/packed/columns_list
//#use ops/linear_x_quads
//#use ops/packed/x_wide
//#use ops/linear_d_y_quads
//#use ops/packed/d_y_wide
