// What the forward pass sees of a weight whose mask is made: source where kept, else decay * source.
// source, weight: any shape. mask: bits, i % 32 of word i / 32.
// One invocation a weight.
//#use common/grid
const WG = 64u;

struct Gate {
    keep: u32,
    group: u32,
    decay: f32, // what is left of a pruned weight
}
@group(0) @binding(1) var<uniform> gates: Gate;
@group(0) @binding(2) var<storage, read> source: array<f32>;
@group(0) @binding(3) var<storage, read> mask: array<u32>;
@group(0) @binding(4) var<storage, read_write> weight: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < arrayLength(&source)) { return; }
    let is_kept = ((mask[i / 32u] >> (i % 32u)) & 1u) == 1u;
    weight[i] = select(gates.decay * source[i], source[i], is_kept);
}
