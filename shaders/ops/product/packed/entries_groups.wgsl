// The entries of an N:M weight. In order of row one byte each, the place within its group of args.among inputs: every group but
// the last, ragged one holds args.keep entries. In order of input one word each: the row, and in its low byte which of
// its group's args.keep entries it is; all rows have args.each entries.
@group(0) @binding(12) var<storage, read> columns: array<u32>;

fn column(entry: u32, row: u32) -> u32 {
    let place = (columns[entry / 4u] >> (entry % 4u * 8u)) & 255u;
    // A quotient below 2^16, exact in f32 by its half; integers are divided slowly on many devices.
    let group = u32((f32(entry - starts[row]) + 0.5) / f32(args.keep));
    return group * args.among + place;
}

// Where an entry of the transposed order lies: its row of blocks, and its number in row order.
struct Placed { row: u32, entry: u32 }

fn placed(entry: u32, input: u32) -> Placed {
    let word = columns[entry];
    let row = word >> 8u;
    return Placed(row, row * args.each + input / args.among * args.keep + (word & 255u));
}
