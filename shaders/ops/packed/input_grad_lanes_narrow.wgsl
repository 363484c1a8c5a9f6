// input_grad of weights kept one by one, entries shared by lanes; bf16 operands from textures: for software adapters.
const HEIGHT = 1u; const PER = 2u; const LOADS = 2u; const EACH = 4u;
//#use ops/packed/input_grad_lanes_part
//#use ops/packed/placed_list
//#use ops/packed/values_scalars
//#use ops/packed/x_narrow
//#use ops/packed/d_y_narrow
//#use ops/packed/out_narrow
