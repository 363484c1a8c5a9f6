const LANES = 8u; const ROWS = 16u; const QUADS = 4u;
//#use ops/linear_forward_register
//#use ops/linear_weight_quads
