// Where an entry of the transposed order lies: its row of blocks, and its number in row order.
struct Placed { row: u32, entry: u32 }
