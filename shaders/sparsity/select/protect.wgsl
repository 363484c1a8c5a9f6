// The scores at the indices of a list become one number: that of weights which a selection takes first, or leaves out.
// index: (len,), places in score. One invocation an index.
//#use common/grid
const WG = 64u;

struct Args {
    len: u32,
    scores: u32, // elements of score
    value: f32,
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> index: array<u32>;
@group(0) @binding(3) var<storage, read_write> score: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.len) { return; }
    let at = index[i];
    if at < args.scores { score[at] = args.value; }
}
