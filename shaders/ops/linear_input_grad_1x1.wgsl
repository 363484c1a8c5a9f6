const LANES = 8u; const INNER_QUADS = 1u; const QUADS = 1u;
//#use ops/linear_input_grad_register
//#use ops/linear_weight_quads
