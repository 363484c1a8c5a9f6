// d_x = weight^T d_y over the kept entries of a packed weight, and 0 where x is not positive if args.relu: for GPUs with
// subgroups, whose invocations read one entry each, side by side, and tell each other.
// d_y: (rows, its columns). x, out: d_x (inner, cols), of inputs, or of a convolution's channels. The transposed order:
// starts: (inner + 1,), where the entries of each input
// begin; placed(entry, input): the row of each and its number in row order, which is how values are stored.
// A subgroup takes as many entries at once as it has invocations, and ROUND of them in one wait for d_y; in order of row,
// as the dense product's. ROUND divides the size of every subgroup.
// A load of d_y brings PER quads of columns. A workgroup makes one input of ACROSS loads.
// Workgroups: inner * ceil(cols / (4 ACROSS PER)).
// Left open: HEIGHT (1), ROUND, ACROSS; parts sites_*, entries_*, values_*, x_*, d_y_*, out_*.
//#needs subgroups
//#use common/grid
//#use ops/product/packed/args
//#use ops/product/packed/bands
@group(0) @binding(11) var<storage, read> starts: array<u32>;

@compute @workgroup_size(ACROSS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32, @builtin(subgroup_size) size: u32,
        @builtin(subgroup_invocation_id) place: u32) {
    let group = group_index(id, groups);
    let loads = args.cols / 4u / PER;
    let tiles = (loads + ACROSS - 1u) / ACROSS;
    // No return before the last shuffle: who has no column reads the last one, and writes nothing.
    let part = in_band(group, args.inner, tiles);
    let input = part.line;
    let load = part.tile * ACROSS + lane;
    let from_load = load_at(min(load, loads - 1u));
    let share = min(size, ACROSS);
    var sum: array<vec4<f32>, PER>; // zero at first
    let end = starts[input + 1u];
    for (var first = starts[input]; first < end; first += share) {
        // Past the input's end its last entry is read again, and counts nothing.
        let own = placed(min(first + place, end - 1u), input);
        let own_at = row_at(own.row);
        let own_w = select(0.0, entry_values(own.entry)[0], first + place < end);
        for (var k = 0u; k < min(share, end - first); k += ROUND) {
            var dys: array<array<vec4<f32>, PER>, ROUND>;
            for (var j = 0u; j < ROUND; j++) { dys[j] = d_y_load(subgroupShuffle(own_at, k + j) + from_load); }
            for (var j = 0u; j < ROUND; j++) {
                let w = subgroupShuffle(own_w, k + j);
                for (var p = 0u; p < PER; p++) { sum[p] += w * dys[j][p]; }
            }
        }
    }
    if group < grid.end && load < loads {
        let xs = x_load(input * loads + load);
        for (var p = 0u; p < PER; p++) {
            let open = vec4<bool>(args.relu == 0u) | (xs[p] > vec4<f32>(0.0));
            sum[p] = select(vec4<f32>(0.0), sum[p], open);
        }
        put(input * loads + load, sum);
    }
}
