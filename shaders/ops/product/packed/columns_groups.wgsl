// The inputs of an N:M weight's entries: one byte each, the place within its group of args.among inputs.
// Every group but the last, ragged one holds args.keep entries.
@group(0) @binding(12) var<storage, read> columns: array<u32>;

fn column(entry: u32, row: u32) -> u32 {
    let place = (columns[entry / 4u] >> (entry % 4u * 8u)) & 255u;
    // A quotient below 2^16, exact in f32 by its half; integers are divided slowly on many devices.
    let group = u32((f32(entry - starts[row]) + 0.5) / f32(args.keep));
    return group * args.among + place;
}
