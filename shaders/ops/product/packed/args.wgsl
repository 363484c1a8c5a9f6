// What the products of a packed weight are told. cols is a multiple of 4.
// A packed weight (rows, inner) has blocks of HEIGHT rows; a row of blocks holds its entries in order of input, an
// entry HEIGHT values, one below the other: value r of entry e is values[e * HEIGHT + r].
struct Args {
    rows: u32,    // rows of blocks
    inner: u32,   // inputs
    cols: u32,
    relu: u32,    // forward: y is rectified; input_grad: x was
    entries: u32,
    chunks: u32,  // weight_grad: chunks, the unused ones at the end included
    keep: u32,    // N:M alone: N
    among: u32,   // N:M alone: M
    each: u32,    // N:M alone: entries of a row
}
@group(0) @binding(1) var<uniform> args: Args;
