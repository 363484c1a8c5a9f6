// linear_forward_tile_part. Any number of inputs.
//#use ops/linear_forward_tile_part
//#use ops/linear_weight_scalars
