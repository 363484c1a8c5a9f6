// y = bias + weight x, then ReLU if args.relu, over the kept entries of a packed weight: for GPUs.
// x: (channels, its columns). bias: (rows,). out: y (rows, cols). starts: (rows of blocks + 1,), where the entries of each begin.
// Entries are taken ROUND at a time: their indices and values, then all of x that they need, then the sums, so that
// one wait serves them all. They are added in order of input and the bias last, as the dense product does.
// A load of x brings PER quads of columns: one of f32, two of bf16. An invocation makes one row of blocks of LOADS loads; a
// workgroup has DOWN by ACROSS invocations.
// Workgroups: ceil(rows / DOWN) * ceil(cols / (4 ACROSS LOADS PER)).
// Left open: HEIGHT, ROUND, LOADS, DOWN, ACROSS; parts sites_*, entries_*, values_*, x_*, out_*.
//#use common/grid
//#use ops/rectify
//#use ops/product/packed/args
//#use ops/product/packed/bands
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(11) var<storage, read> starts: array<u32>;

// For each row of a block and each load, the sums of its quads.
alias Sums = array<array<array<vec4<f32>, PER>, LOADS>, HEIGHT>;

fn add(sum: ptr<function, Sums>, w: array<f32, HEIGHT>, xs: array<array<vec4<f32>, PER>, LOADS>) {
    for (var r = 0u; r < HEIGHT; r++) {
        for (var l = 0u; l < LOADS; l++) {
            for (var p = 0u; p < PER; p++) { (*sum)[r][l][p] += w[r] * xs[l][p]; }
        }
    }
}

@compute @workgroup_size(DOWN * ACROSS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let loads = args.cols / 4u / PER;
    let tiles = (loads + ACROSS * LOADS - 1u) / (ACROSS * LOADS);
    let part = in_band(group, (args.rows + DOWN - 1u) / DOWN, tiles);
    let row = part.line * DOWN + lane / ACROSS;
    let load_0 = part.tile * (ACROSS * LOADS) + lane % ACROSS;
    if !(group < grid.end && row < args.rows && load_0 < loads) { return; }
    var load: array<u32, LOADS>;
    var from_load: array<u32, LOADS>; // where they read
    for (var l = 0u; l < LOADS; l++) {
        load[l] = min(load_0 + l * ACROSS, loads - 1u);
        from_load[l] = load_at(load[l]);
    }
    var sum: Sums; // zero at first
    let end = starts[row + 1u];
    var entry = starts[row];
    for (; entry + ROUND <= end; entry += ROUND) {
        var at: array<u32, ROUND>;
        var w: array<array<f32, HEIGHT>, ROUND>;
        for (var k = 0u; k < ROUND; k++) {
            at[k] = column(entry + k, row) * unit();
            w[k] = entry_values(entry + k);
        }
        var xs: array<array<array<vec4<f32>, PER>, LOADS>, ROUND>;
        for (var k = 0u; k < ROUND; k++) {
            for (var l = 0u; l < LOADS; l++) { xs[k][l] = x_load(at[k] + from_load[l]); }
        }
        for (var k = 0u; k < ROUND; k++) { add(&sum, w[k], xs[k]); }
    }
    for (; entry < end; entry++) {
        let at = column(entry, row) * unit();
        var xs: array<array<vec4<f32>, PER>, LOADS>;
        for (var l = 0u; l < LOADS; l++) { xs[l] = x_load(at + from_load[l]); }
        add(&sum, entry_values(entry), xs);
    }
    for (var r = 0u; r < HEIGHT; r++) {
        let b = bias[row * HEIGHT + r];
        for (var l = 0u; l < LOADS; l++) {
            if load_0 + l * ACROSS < loads {
                var value = sum[r][l];
                for (var p = 0u; p < PER; p++) {
                    value[p] = value[p] + b;
                    value[p] = select(value[p], rectified_quad(value[p]), args.relu != 0u);
                }
                put((row * HEIGHT + r) * loads + load[l], value);
            }
        }
    }
}
