// out[e] = values[from[e]], HEIGHT values at a time: a packed weight in its transposed order.
// values, out: (entries * height,). from: (entries,). One invocation an entry.
//#use common/grid
const WG = 64u;

struct Args { entries: u32, height: u32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> values: array<f32>;
@group(0) @binding(3) var<storage, read> entry_from: array<u32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let entry = group * WG + lane;
    if !(group < grid.end && entry < args.entries) { return; }
    let source = entry_from[entry] * args.height;
    for (var r = 0u; r < args.height; r++) { out[entry * args.height + r] = values[source + r]; }
}
