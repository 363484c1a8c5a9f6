// weight_grad of weights kept one by one, 8 a chunk; operands from textures, 8 invocations a workgroup: for software adapters.
const HEIGHT = 1u; const EACH = 8u; const WG = 8u;
//#use ops/packed/weight_grad_part
//#use ops/packed/columns_list
//#use ops/linear_x_texels
//#use ops/linear_d_y_texels
