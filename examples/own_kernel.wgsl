// y = x^3 - x. x, y: (len,). One invocation per element.
struct Args { len: u32 }
@group(0) @binding(0) var<uniform> args: Args;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x;
    if !(i < args.len) { return; }
    y[i] = x[i] * x[i] * x[i] - x[i];
}
