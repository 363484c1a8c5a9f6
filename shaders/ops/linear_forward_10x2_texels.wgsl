// linear_forward_block, 10 rows by 2 quads of columns an invocation, 8 invocations side by side.
// Operands come from textures. Needs inner % 4 == 0.
const ROWS = 10u; const QUADS = 2u; const DOWN = 1u; const ACROSS = 8u; const PER = 1u;
//#use ops/linear_forward_block
//#use ops/linear_weight_texels
//#use ops/linear_x_texels
//#use ops/packed/x_wide
