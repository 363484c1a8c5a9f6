// The magnitudes of what is kept in each row of a dense matrix, added up from the first column to the last: one order,
// and so the same bits, however the weight is stored. One invocation a row.
// `masked`: where mask has a bit. dense: (rows, inner), and the mask of the same rows. How many bits there are is added
// to the layer's number in counts.
// `packed`: at the entries of a packed weight. dense: rows of the matrix from args.first_row on.
// sums: of all rows of the matrix, of which those from args.first_row on are written.
//#use common/grid
const WG = 64u;

struct Args { first_row: u32, rows: u32, inner: u32, layer: u32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> dense: array<f32>;
@group(0) @binding(3) var<storage, read> mask: array<u32>;
@group(0) @binding(4) var<storage, read> starts: array<u32>;
@group(0) @binding(5) var<storage, read> columns: array<u32>;
@group(0) @binding(6) var<storage, read_write> sums: array<f32>;
@group(0) @binding(7) var<storage, read_write> counts: array<atomic<u32>>;

@compute @workgroup_size(WG)
fn masked(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
          @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let row = group * WG + lane;
    if !(group < grid.end && row < args.rows) { return; }
    var sum = 0.0;
    var kept = 0u;
    for (var i = row * args.inner; i < (row + 1u) * args.inner; i++) {
        if ((mask[i / 32u] >> (i % 32u)) & 1u) == 1u {
            sum += abs(dense[i]);
            kept += 1u;
        }
    }
    sums[args.first_row + row] = sum;
    atomicAdd(&counts[args.layer], kept);
}

@compute @workgroup_size(WG)
fn packed(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
          @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let row = group * WG + lane;
    if !(group < grid.end && row < args.rows) { return; }
    var sum = 0.0;
    let end = starts[args.first_row + row + 1u];
    for (var entry = starts[args.first_row + row]; entry < end; entry++) {
        sum += abs(dense[row * args.inner + columns[entry]]);
    }
    sums[args.first_row + row] = sum;
}
