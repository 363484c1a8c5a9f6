// d_x = weight^T d_y over the kept entries of a packed weight, and 0 where x is not positive if args.relu: for GPUs.
// d_y: (rows, its columns). x, out: d_x (inner, cols), of inputs, or of a convolution's channels. The transposed order:
// starts: (inner + 1,), where the entries of each input
// begin; placed(entry, input): the row of blocks of each and its number in row order, which is how values are stored.
// Entries are taken ROUND at a time: where they lie, their values, then all of d_y that they need, then the sums, so that
// one wait serves them all; in order of row, as the dense product's.
// A load of d_y brings PER quads of columns: one of f32, two of bf16. An invocation makes one input of LOADS loads; a
// workgroup has DOWN by ACROSS invocations.
// Workgroups: ceil(inner / DOWN) * ceil(cols / (4 ACROSS LOADS PER)).
// Left open: HEIGHT, ROUND, LOADS, DOWN, ACROSS; parts sites_*, entries_*, values_*, x_*, d_y_*, out_*.
//#use common/grid
//#use ops/product/packed/args
//#use ops/product/packed/bands
@group(0) @binding(11) var<storage, read> starts: array<u32>;

// For each load, its quads.
alias Loads = array<array<vec4<f32>, PER>, LOADS>;

fn add(sum: ptr<function, Loads>, w: f32, dys: Loads) {
    for (var l = 0u; l < LOADS; l++) {
        for (var p = 0u; p < PER; p++) { (*sum)[l][p] += w * dys[l][p]; }
    }
}

@compute @workgroup_size(DOWN * ACROSS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let loads = args.cols / 4u / PER;
    let tiles = (loads + ACROSS * LOADS - 1u) / (ACROSS * LOADS);
    let part = in_band(group, (args.inner + DOWN - 1u) / DOWN, tiles);
    let input = part.line * DOWN + lane / ACROSS;
    let load_0 = part.tile * (ACROSS * LOADS) + lane % ACROSS;
    if !(group < grid.end && input < args.inner && load_0 < loads) { return; }
    var load: array<u32, LOADS>;
    var from_load: array<u32, LOADS>; // where they read
    for (var l = 0u; l < LOADS; l++) {
        load[l] = min(load_0 + l * ACROSS, loads - 1u);
        from_load[l] = load_at(load[l]);
    }
    var sum: Loads; // zero at first
    let end = starts[input + 1u];
    var entry = starts[input];
    for (; entry + ROUND <= end; entry += ROUND) {
        var at: array<u32, ROUND>;
        var w: array<array<f32, HEIGHT>, ROUND>;
        for (var k = 0u; k < ROUND; k++) {
            let from_input = placed(entry + k, input);
            at[k] = row_at(from_input.row);
            w[k] = entry_values(from_input.entry);
        }
        var dys: array<array<Loads, HEIGHT>, ROUND>;
        for (var k = 0u; k < ROUND; k++) {
            for (var r = 0u; r < HEIGHT; r++) {
                for (var l = 0u; l < LOADS; l++) { dys[k][r][l] = d_y_load(at[k] + r * pitch() + from_load[l]); }
            }
        }
        for (var k = 0u; k < ROUND; k++) {
            for (var r = 0u; r < HEIGHT; r++) { add(&sum, w[k][r], dys[k][r]); }
        }
    }
    for (; entry < end; entry++) {
        let from_input = placed(entry, input);
        let w = entry_values(from_input.entry);
        for (var r = 0u; r < HEIGHT; r++) {
            var dys: Loads;
            for (var l = 0u; l < LOADS; l++) {
                dys[l] = d_y_load(row_at(from_input.row) + r * pitch() + from_load[l]);
            }
            add(&sum, w[r], dys);
        }
    }
    for (var l = 0u; l < LOADS; l++) {
        if load_0 + l * ACROSS < loads {
            let xs = x_load(input * loads + load[l]);
            var value = sum[l];
            for (var p = 0u; p < PER; p++) {
                let open = vec4<bool>(args.relu == 0u) | (xs[p] > vec4<f32>(0.0));
                value[p] = select(vec4<f32>(0.0), value[p], open);
            }
            put(input * loads + load[l], value);
        }
    }
}
