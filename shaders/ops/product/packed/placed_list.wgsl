// Entries in order of input, two words each: the row of blocks, and the number in row order.
//#use ops/product/packed/placed
@group(0) @binding(12) var<storage, read> columns: array<u32>;
@group(0) @binding(14) var<storage, read> entry_from: array<u32>;

fn placed(entry: u32, input: u32) -> Placed {
    return Placed(columns[entry], entry_from[entry]);
}
