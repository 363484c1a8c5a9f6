const LANES = 8u; const INNER_QUADS = 2u; const QUADS = 2u;
//#use ops/linear_input_grad_register
//#use ops/linear_weight_quads
