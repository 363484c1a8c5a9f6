// What the three products of a linear layer are told. cols is a multiple of 4.
struct Args {
    rows: u32,
    inner: u32,
    cols: u32,
    relu: u32,       // forward: y is rectified; input_grad: x was
    accumulate: u32, // input_grad adds to what is there
}
@group(0) @binding(1) var<uniform> args: Args;
