// Where a packed linear layer's products read: every column of the result its own column of x or d_y.

// Loads that the number of an entry counts.
fn unit() -> u32 { return args.cols / (4u * PER); }
// Where a load of the result reads, from the first load of an entry on.
fn load_at(load: u32) -> u32 { return load; }
// The first load of a row of blocks of d_y, as the transposed order has it, and the way from one of its rows to the next.
fn row_at(row: u32) -> u32 { return row * HEIGHT * unit(); }
fn pitch() -> u32 { return unit(); }
