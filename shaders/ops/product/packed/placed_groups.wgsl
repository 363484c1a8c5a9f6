// The entries of an N:M weight in order of input, one word each: the row, and in its low byte which of its group's
// args.keep entries it is. All rows have args.each entries, all groups but the last args.keep.
//#use ops/product/packed/placed
@group(0) @binding(12) var<storage, read> columns: array<u32>;

fn placed(entry: u32, input: u32) -> Placed {
    let word = columns[entry];
    let row = word >> 8u;
    return Placed(row, row * args.each + input / args.among * args.keep + (word & 255u));
}
