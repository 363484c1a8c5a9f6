// y = f(x) and d_x = d_y f'(x) (+= if ADDS), for an activation f that is not fused.
// x, y, d_y, d_x: any shape, len elements. One invocation per element.
// Left open: a part of ops/activation, with `activated` and `slope`.
//#use common/grid
const WG = 256u;

override ADDS = false;

struct Args { len: u32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read> d_y: array<f32>;
@group(0) @binding(5) var<storage, read_write> d_x: array<f32>;

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.len) { return; }
    y[i] = activated(x[i]);
}

@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
            @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.len) { return; }
    let value = d_y[i] * slope(x[i]);
    if ADDS {
        d_x[i] += value;
    } else {
        d_x[i] = value;
    }
}
