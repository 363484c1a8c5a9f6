const LANES = 8u; const ROWS = 8u; const INNER_QUADS = 2u;
//#use ops/linear_weight_grad_register
//#use ops/linear_d_weight_scalars
