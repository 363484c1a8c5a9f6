const LANES = 8u; const ROWS = 2u; const QUADS = 1u;
//#use ops/linear_forward_register
//#use ops/linear_weight_quads
