// bf16 pairs of a tensor (rows, cols), rounded to nearest even: half the bytes, all of the range.
// x: (rows, cols), cols a multiple of 8. out: (rows, cols / 2), see ops/bf16. One invocation per eight columns.
//#use common/grid
//#use ops/bf16
const WG = 64u;

struct Args { octets: u32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<u32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.octets) { return; }
    out[i] = pairs(x[2u * i], x[2u * i + 1u]);
}
