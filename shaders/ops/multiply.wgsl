// y = a b, number by number (+= if ADDS): gates, and their gradients.
// a, b, y: any shape, whole quads. One invocation a quad.
//#use common/grid
const WG = 256u;

override ADDS = false;

struct Args { quads: u32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.quads) { return; }
    let value = a[i] * b[i];
    if ADDS {
        y[i] += value;
    } else {
        y[i] = value;
    }
}
