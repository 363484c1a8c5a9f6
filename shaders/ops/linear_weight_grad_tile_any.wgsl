// linear_weight_grad_tile_part. Any number of inputs.
//#use ops/linear_weight_grad_tile_part
//#use ops/linear_d_weight_scalars
