// What the three products of a linear layer are told. cols is a multiple of 4.
struct Args {
    rows: u32,
    inner: u32,
    cols: u32,
    relu: u32,       // forward: y is rectified; input_grad: x was
    onto: u32,       // input_grad: what becomes of the numbers that are there
}
const REPLACES = 0u;
const ADDS = 1u;    // the sum is added to them as a whole
const GOES_ON = 2u; // the sum begins with them; kernels that keep several sums add at the end
@group(0) @binding(1) var<uniform> args: Args;
