// The entries of a packed weight, one word each: in order of row the input; in order of input the row of blocks, and beside
// it the number in row order.
@group(0) @binding(12) var<storage, read> columns: array<u32>;
@group(0) @binding(14) var<storage, read> entry_from: array<u32>;

fn column(entry: u32, row: u32) -> u32 {
    return columns[entry];
}

// Where an entry of the transposed order lies: its row of blocks, and its number in row order.
struct Placed { row: u32, entry: u32 }

fn placed(entry: u32, input: u32) -> Placed {
    return Placed(columns[entry], entry_from[entry]);
}
