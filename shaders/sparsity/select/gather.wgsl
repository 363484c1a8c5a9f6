// Values of a dense matrix at the indices of a list, where they lie among those that dense has, from args.first_index on;
// other values stay. index, value: (len,). One invocation an element.
//#use common/grid
const WG = 64u;

struct Args {
    first_index: u32,
    len: u32,    // elements of the list
    indices: u32, // elements of dense
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> dense: array<f32>;
@group(0) @binding(3) var<storage, read> index: array<u32>;
@group(0) @binding(4) var<storage, read_write> value: array<f32>;

@compute @workgroup_size(WG)
fn listed(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
          @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.len) { return; }
    let at = index[i] - args.first_index;
    // An index before the first is a large number here.
    if at < args.indices { value[i] = dense[at]; }
}
