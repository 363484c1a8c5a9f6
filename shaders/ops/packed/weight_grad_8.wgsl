// weight_grad of weights kept one by one, 8 a chunk; operands from buffers, 64 invocations a workgroup: for GPUs.
const HEIGHT = 1u; const EACH = 8u; const WG = 64u;
//#use ops/packed/weight_grad_part
//#use ops/packed/columns_list
//#use ops/linear_x_quads
//#use ops/linear_d_y_quads
