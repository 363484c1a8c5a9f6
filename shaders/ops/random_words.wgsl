// Random words from counters: element i of (seed, stream, step, tensor) is word i % 4 of block i / 4.
// out: (len,). One invocation per block of four.
//#use common/grid
//#use common/philox
const WG = 64u;

struct Args { len: u32, seed_low: u32, seed_high: u32, stream: u32, step: u32, tensor: u32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let block = group * WG + lane;
    if !(group < grid.end && block * 4u < args.len) { return; }
    let counter = vec4<u32>(block, args.tensor, args.step, args.stream);
    let words = philox4x32_10(counter, vec2<u32>(args.seed_low, args.seed_high));
    for (var j = 0u; j < min(4u, args.len - block * 4u); j++) {
        out[block * 4u + j] = words[j];
    }
}
