// d_values[entry] = d_y[row] . x[input] at the kept entries of a packed weight alone; d_bias = sum of d_y over columns.
// d_y: (rows, cols). x: (channels, its columns). d_values: as values. d_bias: (rows,).
// chunks: pairs (row of blocks, first entry): at most EACH entries of one row, so that uneven rows are split evenly. A
// row without entries has a chunk, too, for its bias; chunks that are not used have row NONE.
// One invocation a chunk: it loads d_y once for EACH entries, PER quads of columns at a time: one of f32, two of bf16.
// Workgroups: ceil(chunks / WG).
// Left open: HEIGHT, EACH, WG; parts sites_*, entries_*, x_*, d_y_*.
//#use common/grid
//#use ops/product/packed/args
@group(0) @binding(8) var<storage, read_write> d_values: array<f32>;
@group(0) @binding(9) var<storage, read_write> d_bias: array<f32>;
@group(0) @binding(11) var<storage, read> starts: array<u32>;
@group(0) @binding(13) var<storage, read> chunks: array<u32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let chunk = group * WG + lane;
    if !(group < grid.end && chunk < args.chunks) { return; }
    let row = chunks[2u * chunk];
    if !(row < args.rows) { return; }
    let first = chunks[2u * chunk + 1u];
    let loads = args.cols / (4u * PER);
    let end = min(first + EACH, starts[row + 1u]);
    // Past the row's end its last entry is read again; nothing of it is written. (Of a row without entries, which N:M does
    // not have, the entry before serves as well as any.)
    var at: array<u32, EACH>;
    for (var e = 0u; e < EACH; e++) {
        at[e] = column(min(first + e, max(end, 1u) - 1u), row) * unit();
    }
    var sum: array<array<f32, HEIGHT>, EACH>; // zero at first
    var total: array<vec4<f32>, HEIGHT>;
    for (var c = 0u; c < loads; c++) {
        var dys: array<array<vec4<f32>, PER>, HEIGHT>;
        for (var r = 0u; r < HEIGHT; r++) {
            dys[r] = d_y_load((row * HEIGHT + r) * loads + c);
            for (var p = 0u; p < PER; p++) { total[r] += dys[r][p]; }
        }
        let from_load = load_at(c);
        for (var e = 0u; e < EACH; e++) {
            let xs = x_load(at[e] + from_load);
            for (var r = 0u; r < HEIGHT; r++) {
                for (var p = 0u; p < PER; p++) { sum[e][r] += dot(dys[r][p], xs[p]); }
            }
        }
    }
    for (var e = 0u; e < EACH; e++) {
        if first + e < end {
            for (var r = 0u; r < HEIGHT; r++) { d_values[(first + e) * HEIGHT + r] = sum[e][r]; }
        }
    }
    if first == starts[row] {
        for (var r = 0u; r < HEIGHT; r++) { d_bias[row * HEIGHT + r] = total[r].x + total[r].y + total[r].z + total[r].w; }
    }
}
