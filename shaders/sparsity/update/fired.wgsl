// Weights that were ever kept, one bit each: i % 32 of word i / 32; and random scores that put the others first.
// Liu et al., 2021, "Do we actually need dense over-parameterization?" (ITOP).
// `masks`: ever |= mask. One invocation a word.
// `entries`: ever |= the entries of a packed weight, in some rows (rows, inner). One invocation a row.
// `favour`: score (len,) += 1 where no bit is set, from bit args.first on. One invocation an element.
//#use common/grid
const WG = 64u;

struct Args {
    len: u32,       // words, or elements
    first: u32,     // `favour`: the bit of the first element
    first_row: u32, // `entries`
    rows: u32,
    inner: u32,
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> mask: array<u32>;
@group(0) @binding(3) var<storage, read> starts: array<u32>;
@group(0) @binding(4) var<storage, read> columns: array<u32>;
@group(0) @binding(5) var<storage, read_write> ever: array<atomic<u32>>;
@group(0) @binding(6) var<storage, read> fired: array<u32>;
@group(0) @binding(7) var<storage, read_write> score: array<f32>;

@compute @workgroup_size(WG)
fn masks(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.len) { return; }
    atomicOr(&ever[i], mask[i]);
}

@compute @workgroup_size(WG)
fn entries(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let row = group * WG + lane;
    if !(group < grid.end && row < args.rows) { return; }
    let end = starts[args.first_row + row + 1u];
    for (var entry = starts[args.first_row + row]; entry < end; entry++) {
        let index = row * args.inner + columns[entry];
        atomicOr(&ever[index / 32u], 1u << (index % 32u));
    }
}

@compute @workgroup_size(WG)
fn favour(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
          @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.len) { return; }
    let index = args.first + i;
    if ((fired[index / 32u] >> (index % 32u)) & 1u) == 0u { score[i] += 1.0; }
}
