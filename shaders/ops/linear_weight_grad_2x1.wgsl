const LANES = 8u; const ROWS = 2u; const INNER_QUADS = 1u;
//#use ops/linear_weight_grad_register
//#use ops/linear_d_weight_quads
