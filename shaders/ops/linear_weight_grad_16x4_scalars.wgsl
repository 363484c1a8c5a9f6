const LANES = 8u; const ROWS = 16u; const INNER_QUADS = 4u;
//#use ops/linear_weight_grad_register
//#use ops/linear_d_weight_scalars
