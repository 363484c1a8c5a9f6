// linear_forward_block, 32 rows by 4 quads of columns an invocation, 8 invocations side by side.
// Operands come from textures. Needs inner % 4 == 0.
const ROWS = 32u; const QUADS = 4u; const DOWN = 1u; const ACROSS = 8u; const PER = 1u;
//#use ops/linear_forward_block
//#use ops/linear_weight_texels
//#use ops/linear_x_texels
//#use ops/packed/x_wide
