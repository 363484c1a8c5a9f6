// d_x = weight^T d_y over the kept entries of a packed weight, and 0 where x is not positive if args.relu.
// d_y: (rows, its columns). x, out: d_x (inner, cols), of inputs, or of a convolution's channels. The transposed order:
// starts: (inner + 1,), where the entries of each input
// begin; placed(entry, input): the row of blocks of each and its number in row order, which is how values are stored.
// A load of d_y brings PER quads of columns: one of f32, two of bf16. An invocation makes EACH inputs, one after another,
// of LOADS loads; a workgroup has DOWN by ACROSS invocations.
// Workgroups: ceil(inner / (DOWN EACH)) * ceil(cols / (4 ACROSS LOADS PER)).
// Left open: HEIGHT, LOADS, EACH, DOWN, ACROSS; parts sites_*, entries_*, values_*, x_*, d_y_*, out_*.
//#use common/grid
//#use ops/product/packed/args
//#use ops/product/packed/bands
@group(0) @binding(11) var<storage, read> starts: array<u32>;

@compute @workgroup_size(DOWN * ACROSS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let loads = args.cols / 4u / PER;
    let tiles = (loads + ACROSS * LOADS - 1u) / (ACROSS * LOADS);
    let part = in_band(group, (args.inner + DOWN * EACH - 1u) / (DOWN * EACH), tiles);
    let input_0 = part.line * (DOWN * EACH) + lane / ACROSS;
    let load_0 = part.tile * (ACROSS * LOADS) + lane % ACROSS;
    var from_load: array<u32, LOADS>; // where the loads of the result read
    for (var l = 0u; l < LOADS; l++) { from_load[l] = load_at(min(load_0 + l * ACROSS, loads - 1u)); }
    for (var n = 0u; n < EACH; n++) {
        let input = input_0 + n * DOWN;
        if input < args.inner {
            var sum: array<array<vec4<f32>, PER>, LOADS>; // zero at first; in order of row, as the dense product's
            let end = starts[input + 1u];
            for (var entry = starts[input]; entry < end; entry++) {
                let at = placed(entry, input);
                let first = row_at(at.row);
                let w = entry_values(at.entry);
                for (var r = 0u; r < HEIGHT; r++) {
                    for (var l = 0u; l < LOADS; l++) {
                        let dys = d_y_load(first + r * pitch() + from_load[l]);
                        for (var p = 0u; p < PER; p++) { sum[l][p] = sum[l][p] + w[r] * dys[p]; }
                    }
                }
            }
            for (var l = 0u; l < LOADS; l++) {
                let load = load_0 + l * ACROSS;
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
