// Sums and copies of activations and of gradients: residual additions, concatenations, slices, values with several readers.
//   sum:   y[i] = a[i] + b[i], rectified if RELU.
//   onto:  y[at + i] = a[skip + i], or += if ADDS.
//   place: y[i] = a[i - at] where that is within a, and 0 elsewhere.
// a, b, y: any shape, f32. Lengths and offsets count quads. One invocation per quad.
//#use common/grid
//#use ops/rectify
const WG = 64u;

override RELU = false;
override ADDS = false;

struct Args {
    quads: u32, // that are written
    skip: u32,
    at: u32,
    length: u32, // quads of a; for `place`
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn sum(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
       @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.quads) { return; }
    let value = a[i] + b[i];
    y[i] = select(value, rectified_quad(value), vec4<bool>(RELU));
}

@compute @workgroup_size(WG)
fn onto(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.quads) { return; }
    let value = a[args.skip + i];
    if ADDS {
        y[args.at + i] += value;
    } else {
        y[args.at + i] = value;
    }
}

@compute @workgroup_size(WG)
fn place(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.quads) { return; }
    var value = vec4<f32>(0.0);
    if i >= args.at && i - args.at < args.length { value = a[i - args.at]; }
    y[i] = value;
}
