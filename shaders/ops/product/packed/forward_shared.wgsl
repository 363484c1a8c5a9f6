// y = bias + weight x, then ReLU if args.relu, over the kept entries of a packed weight: for GPUs with subgroups, whose
// invocations read one entry each, side by side, and tell each other.
// x: (channels, its columns). bias: (rows,). out: y (rows, cols). starts: (rows + 1,), where the entries of each begin.
// A subgroup takes as many entries at once as it has invocations, and ROUND of them in one wait for x; they are added in
// order of input and the bias last, as the dense product does. ROUND divides the size of every subgroup.
// A load of x brings PER quads of columns. A workgroup makes one row of ACROSS loads.
// Workgroups: rows * ceil(cols / (4 ACROSS PER)).
// Left open: HEIGHT (1), ROUND, ACROSS; parts sites_*, entries_*, values_*, x_*, out_*.
//#needs subgroups
//#use common/grid
//#use ops/rectify
//#use ops/product/packed/args
//#use ops/product/packed/bands
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(11) var<storage, read> starts: array<u32>;

@compute @workgroup_size(ACROSS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32, @builtin(subgroup_size) size: u32,
        @builtin(subgroup_invocation_id) place: u32) {
    let group = group_index(id, groups);
    let loads = args.cols / 4u / PER;
    let tiles = (loads + ACROSS - 1u) / ACROSS;
    // No return before the last shuffle: who has no column reads the last one, and writes nothing.
    let part = in_band(group, args.rows, tiles);
    let row = part.line;
    let load = part.tile * ACROSS + lane;
    let from_load = load_at(min(load, loads - 1u));
    let share = min(size, ACROSS);
    var sum: array<vec4<f32>, PER>; // zero at first
    let end = starts[row + 1u];
    for (var first = starts[row]; first < end; first += share) {
        // Past the row's end its last entry is read again, and counts nothing.
        let own = min(first + place, end - 1u);
        let own_at = column(own, row) * unit();
        let own_w = select(0.0, entry_values(own)[0], first + place < end);
        for (var k = 0u; k < min(share, end - first); k += ROUND) {
            var xs: array<array<vec4<f32>, PER>, ROUND>;
            for (var j = 0u; j < ROUND; j++) { xs[j] = x_load(subgroupShuffle(own_at, k + j) + from_load); }
            for (var j = 0u; j < ROUND; j++) {
                let w = subgroupShuffle(own_w, k + j);
                for (var p = 0u; p < PER; p++) { sum[p] += w * xs[j][p]; }
            }
        }
    }
    if group < grid.end && load < loads {
        for (var p = 0u; p < PER; p++) {
            sum[p] = sum[p] + bias[row];
            sum[p] = select(sum[p], rectified_quad(sum[p]), args.relu != 0u);
        }
        put(row * loads + load, sum);
    }
}
