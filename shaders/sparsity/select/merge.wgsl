// mask = keep | grow, with counts of what is kept, what is new and what is gone.
// mask, keep, grow: bits, i % 32 of word i / 32. counts: three. One invocation a word.
//#use common/grid
const WG = 64u;

struct Args { words: u32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> keep: array<u32>;
@group(0) @binding(3) var<storage, read> grow: array<u32>;
@group(0) @binding(4) var<storage, read_write> mask: array<u32>;
@group(0) @binding(5) var<storage, read_write> counts: array<atomic<u32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.words) { return; }
    let old = mask[i];
    let now = keep[i] | grow[i];
    mask[i] = now;
    atomicAdd(&counts[0], countOneBits(now));
    atomicAdd(&counts[1], countOneBits(now & ~old));
    atomicAdd(&counts[2], countOneBits(old & ~now));
}
