// Averages of weights: those that have not begun begin with their weight; weights and averages are exchanged.
// weight, average: (len,). One invocation per quad.
//#use common/grid
const WG = 64u;

struct Args { quads: u32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read_write> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> average: array<vec4<f32>>;

// average = weight where the average is 0: that of a pruned weight stays 0, as the weight is.
@compute @workgroup_size(WG)
fn begin(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.quads) { return; }
    let before = average[i];
    average[i] = select(before, weight[i], before == vec4<f32>(0.0));
}

@compute @workgroup_size(WG)
fn exchange(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
            @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.quads) { return; }
    let before = weight[i];
    weight[i] = average[i];
    average[i] = before;
}
