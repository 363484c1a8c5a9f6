const LANES = 8u; const ROWS = 8u; const QUADS = 2u;
//#use ops/linear_forward_register
//#use ops/linear_weight_quads
