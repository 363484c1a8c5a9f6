// y = bias + weight x, then ReLU if args.relu, over the kept entries of a packed weight.
// x: (channels, its columns). bias: (rows,). out: y (rows, cols). starts: (rows of blocks + 1,), where the entries of each begin.
// One input is shared by the HEIGHT rows of a block and by all columns: an entry is read once for a run of columns.
// A load of x brings PER quads of columns: one of f32, two of bf16. An invocation makes EACH rows of blocks, one after
// another, of LOADS loads; a workgroup has DOWN by ACROSS invocations.
// Workgroups: ceil(rows / (DOWN EACH)) * ceil(cols / (4 ACROSS LOADS PER)).
// Left open: HEIGHT, LOADS, EACH, DOWN, ACROSS; parts sites_*, entries_*, values_*, x_*, out_*.
//#use common/grid
//#use ops/rectify
//#use ops/product/packed/args
//#use ops/product/packed/bands
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(11) var<storage, read> starts: array<u32>;

@compute @workgroup_size(DOWN * ACROSS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let loads = args.cols / 4u / PER;
    let tiles = (loads + ACROSS * LOADS - 1u) / (ACROSS * LOADS);
    let part = in_band(group, (args.rows + DOWN * EACH - 1u) / (DOWN * EACH), tiles);
    let row_0 = part.line * (DOWN * EACH) + lane / ACROSS;
    let load_0 = part.tile * (ACROSS * LOADS) + lane % ACROSS;
    var at: array<u32, LOADS>; // where the loads of the result read
    for (var l = 0u; l < LOADS; l++) { at[l] = load_at(min(load_0 + l * ACROSS, loads - 1u)); }
    for (var n = 0u; n < EACH; n++) {
        let row = row_0 + n * DOWN;
        if row < args.rows {
            // Entries are added in order of input and the bias last, as blocks and tiles of the dense product do: the sum has
            // their bits where a driver fuses multiplications with additions in both or in neither.
            var sum: array<array<array<vec4<f32>, PER>, LOADS>, HEIGHT>; // zero at first
            let end = starts[row + 1u];
            for (var entry = starts[row]; entry < end; entry++) {
                let first = column(entry, row) * unit();
                let w = entry_values(entry);
                for (var l = 0u; l < LOADS; l++) {
                    let xs = x_load(first + at[l]);
                    for (var r = 0u; r < HEIGHT; r++) {
                        for (var p = 0u; p < PER; p++) { sum[r][l][p] = sum[r][l][p] + w[r] * xs[p]; }
                    }
                }
            }
            for (var r = 0u; r < HEIGHT; r++) {
                let b = bias[row * HEIGHT + r];
                for (var l = 0u; l < LOADS; l++) {
                    let load = load_0 + l * ACROSS;
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
