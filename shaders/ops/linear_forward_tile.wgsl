// linear_forward_tile_part. Needs inner % 4 == 0.
//#use ops/linear_forward_tile_part
//#use ops/linear_weight_quads
