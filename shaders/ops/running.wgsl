// Running statistics: value += momentum (observed - value); not once a loss was not finite.
// value, observed: (len,). One invocation per quad.
//#use common/grid
const WG = 64u;
const BROKEN = 4u; // see ops/tally

struct Args { quads: u32 }
@group(0) @binding(1) var<uniform> args: Args;
// How much of what was observed is taken over.
struct Pace { momentum: f32 }
@group(0) @binding(2) var<uniform> pace: Pace;
@group(0) @binding(3) var<storage, read> totals: array<u32>;
@group(0) @binding(4) var<storage, read> observed: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> value: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.quads) { return; }
    if totals[BROKEN] != 0u { return; }
    value[i] += pace.momentum * (observed[i] - value[i]);
}
