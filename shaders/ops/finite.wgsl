// Adds to counts[args.place] how many of `values` are not finite. The test is on bits: fast-math may remove comparisons
// with NaN.
// values: (len,). counts: (places,).
//#use common/grid
const WG = 256u;
const INFINITY = 0x7f800000u;

struct Args {
    len: u32,        // of the values
    place: u32,      // where they are counted
    workgroups: u32,
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> values: array<f32>;
@group(0) @binding(3) var<storage, read_write> counts: array<atomic<u32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    var found = 0u;
    for (var i = group * WG + lane; i < args.len; i += args.workgroups * WG) {
        found += select(0u, 1u, (bitcast<u32>(values[i]) & INFINITY) == INFINITY);
    }
    if found > 0u { atomicAdd(&counts[args.place], found); }
}
