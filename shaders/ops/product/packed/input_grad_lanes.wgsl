// d_x = weight^T d_y over the kept entries of a packed weight, and 0 where x is not positive if args.relu; entries are
// shared by lanes.
// d_y: (rows, its columns). x, out: d_x (inner, cols), of inputs, or of a convolution's channels. The transposed order:
// starts: (inner + 1,), where the entries of each input
// begin; placed(entry, input): the row of blocks of each and its number in row order, which is how values are stored.
// A load of d_y brings PER quads of columns: one of f32, two of bf16. A workgroup makes EACH inputs, one after another, of
// LANES * LOADS loads.
// Workgroups: ceil(inner / EACH) * ceil(cols / (4 LANES LOADS PER)).
// Left open: HEIGHT, LOADS, EACH; parts sites_*, entries_*, values_*, x_*, d_y_*, out_*.
//#use common/grid
//#use ops/product/packed/args
//#use ops/product/packed/bands
//#use ops/product/packed/lanes
@group(0) @binding(11) var<storage, read> starts: array<u32>;

// For each load, the sums of its quads.
alias Sums = array<array<vec4<f32>, PER>, LOADS>;

// Adds an entry's products to the sums. Entries have one row: blocks gain nothing here (docs/performance.md).
fn add(sum: ptr<function, Sums>, first: u32, w: array<f32, HEIGHT>, from_load: array<u32, LOADS>) {
    for (var l = 0u; l < LOADS; l++) {
        let dys = d_y_load(first + from_load[l]);
        for (var p = 0u; p < PER; p++) { (*sum)[l][p] = (*sum)[l][p] + w[0] * dys[p]; }
    }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32, @builtin(subgroup_invocation_id) place: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let loads = args.cols / 4u / PER;
    let tiles = (loads + LANES * LOADS - 1u) / (LANES * LOADS);
    let part = in_band(group, (args.inner + EACH - 1u) / EACH, tiles);
    let load_0 = part.tile * (LANES * LOADS) + lane;
    var from_load: array<u32, LOADS>; // where the loads of the result read
    for (var l = 0u; l < LOADS; l++) { from_load[l] = load_at(min(load_0 + l * LANES, loads - 1u)); }
    for (var n = 0u; n < EACH; n++) {
        let input = part.line * EACH + n;
        if input < args.inner {
            var sum: Sums; // zero at first; in order of row, as the dense product's
            let end = starts[input + 1u];
            for (var first = starts[input]; first < end; first += SHARED) {
                let entry = first + place % SHARED;
                let own = min(entry, end - 1u);
                let at = placed(own, input);
                let told = tell(row_at(at.row), entry_values(at.entry), entry < end);
                add(&sum, told.at[0], told.w[0], from_load);
                add(&sum, told.at[1], told.w[1], from_load);
                add(&sum, told.at[2], told.w[2], from_load);
                add(&sum, told.at[3], told.w[3], from_load);
            }
            for (var l = 0u; l < LOADS; l++) {
                let load = load_0 + l * LANES;
                if load < loads {
                    let xs = x_load(input * loads + load);
                    for (var p = 0u; p < PER; p++) {
                        let open = vec4<bool>(args.relu == 0u) | (xs[p] > vec4<f32>(0.0));
                        sum[l][p] = select(vec4<f32>(0.0), sum[l][p], open);
                    }
                    put(input * loads + load, sum[l]);
                }
            }
        }
    }
}
