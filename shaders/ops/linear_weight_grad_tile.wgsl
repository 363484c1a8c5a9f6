// linear_weight_grad_tile_part. Needs inner % 4 == 0.
//#use ops/linear_weight_grad_tile_part
//#use ops/linear_d_weight_quads
