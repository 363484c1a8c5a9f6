// y = bias + weight x, then ReLU if args.relu, over the kept entries of a packed weight; entries are shared by lanes.
// x: (channels, its columns). bias: (rows,). out: y (rows, cols). starts: (rows of blocks + 1,), where the entries of each begin.
// A load of x brings PER quads of columns: one of f32, two of bf16. A workgroup makes EACH rows of blocks, one after
// another, of LANES * LOADS loads.
// Workgroups: ceil(rows / EACH) * ceil(cols / (4 LANES LOADS PER)).
// Left open: HEIGHT, LOADS, EACH; parts sites_*, entries_*, values_*, x_*, out_*.
//#use common/grid
//#use ops/rectify
//#use ops/product/packed/args
//#use ops/product/packed/bands
//#use ops/product/packed/lanes
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(11) var<storage, read> starts: array<u32>;

// For each row of a block and each load, the sums of its quads.
alias Sums = array<array<array<vec4<f32>, PER>, LOADS>, HEIGHT>;

// Adds an entry's products to the sums.
fn add(sum: ptr<function, Sums>, first: u32, w: array<f32, HEIGHT>, at: array<u32, LOADS>) {
    for (var l = 0u; l < LOADS; l++) {
        let xs = x_load(first + at[l]);
        for (var r = 0u; r < HEIGHT; r++) {
            for (var p = 0u; p < PER; p++) { (*sum)[r][l][p] = (*sum)[r][l][p] + w[r] * xs[p]; }
        }
    }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32, @builtin(subgroup_invocation_id) place: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let loads = args.cols / 4u / PER;
    let tiles = (loads + LANES * LOADS - 1u) / (LANES * LOADS);
    let part = in_band(group, (args.rows + EACH - 1u) / EACH, tiles);
    let load_0 = part.tile * (LANES * LOADS) + lane;
    var at: array<u32, LOADS>; // where the loads of the result read
    for (var l = 0u; l < LOADS; l++) { at[l] = load_at(min(load_0 + l * LANES, loads - 1u)); }
    for (var n = 0u; n < EACH; n++) {
        let row = part.line * EACH + n;
        if row < args.rows {
            // Entries are added in order of input and the bias last, as blocks and tiles of the dense product do: the sum has
            // their bits where a driver fuses multiplications with additions in both or in neither.
            var sum: Sums; // zero at first
            let end = starts[row + 1u];
            for (var first = starts[row]; first < end; first += SHARED) {
                let entry = first + place % SHARED;
                let own = min(entry, end - 1u);
                let told = tell(column(own, row) * unit(), entry_values(own), entry < end);
                add(&sum, told.at[0], told.w[0], at);
                add(&sum, told.at[1], told.w[1], at);
                add(&sum, told.at[2], told.w[2], at);
                add(&sum, told.at[3], told.w[3], at);
            }
            for (var r = 0u; r < HEIGHT; r++) {
                let b = bias[row * HEIGHT + r];
                for (var l = 0u; l < LOADS; l++) {
                    let load = load_0 + l * LANES;
                    if load < loads {
                        var value = sum[r][l];
                        for (var p = 0u; p < PER; p++) {
                            value[p] = value[p] + b;
                            value[p] = select(value[p], rectified_quad(value[p]), args.relu != 0u);
                        }
                        put((row * HEIGHT + r) * loads + load, value);
                    }
                }
            }
        }
    }
}
