const LANES = 8u; const INNER_QUADS = 4u; const QUADS = 4u;
//#use ops/linear_input_grad_register
//#use ops/linear_weight_quads
