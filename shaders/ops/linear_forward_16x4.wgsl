// linear_forward_block, 16 rows by 4 quads of columns an invocation, 8 invocations side by side.
// Needs inner % 4 == 0.
const ROWS = 16u; const QUADS = 4u; const DOWN = 1u; const ACROSS = 8u; const PER = 1u;
//#use ops/linear_forward_block
//#use ops/linear_weight_quads
//#use ops/linear_x_quads
//#use ops/packed/x_wide
