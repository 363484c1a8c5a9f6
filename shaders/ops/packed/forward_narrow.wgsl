// forward of weights kept one by one; bf16 operands from textures.
const HEIGHT = 1u; const PER = 2u; const LOADS = 2u; const EACH = 4u; const DOWN = 1u; const ACROSS = 8u;
//#use ops/packed/forward_part
//#use ops/packed/columns_list
//#use ops/packed/values_scalars
//#use ops/packed/x_narrow
//#use ops/packed/out_narrow
