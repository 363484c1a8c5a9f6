// Dropout: y = x / (1 - p), or 0 with probability p (+= if ADDS). Which numbers are dropped is a function of seed, step, layer
// and element, so that the backward pass, which is the same function of d_y, draws them again.   Srivastava et al., 2014.
// x, y: any shape, whole quads. One invocation per quad: its four words are one block.
//#use common/grid
//#use common/philox
//#use common/step
const WG = 64u;

override ADDS = false;

struct Args {
    quads: u32,
    seed_low: u32,
    seed_high: u32,
    stream: u32,
    layer: u32,
    threshold: u32, // p 2^32: a smaller word drops its number
    scale: f32,     // 1 / (1 - p)
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.quads) { return; }
    let counter = vec4<u32>(i, args.layer, step.draw, args.stream);
    let words = philox4x32_10(counter, vec2<u32>(args.seed_low, args.seed_high));
    let value = select(x[i] * args.scale, vec4<f32>(0.0), words < vec4<u32>(args.threshold));
    if ADDS {
        y[i] += value;
    } else {
        y[i] = value;
    }
}
