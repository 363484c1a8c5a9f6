// d_weight = d_y x^T; d_bias = sum of d_y over the columns. Blocked in registers: for software adapters.
// d_y: (rows, cols). x: (channels, its columns). d_weight: (rows, inner), inner = taps * channels. d_bias: (rows,).
// An invocation makes ROWS rows of INPUTS quads of inputs, from PER quads of columns a round; a workgroup is DOWN by ACROSS
// of those.
// Workgroups: ceil(rows / (DOWN ROWS)) * ceil(inner / (4 ACROSS INPUTS)).
// Left open: ROWS, INPUTS; parts sites_*, d_weight_*, x_*, d_y_*.
//#use common/grid
//#use ops/product/args
const DOWN = 1u;
const ACROSS = 8u;

@group(0) @binding(9) var<storage, read_write> d_bias: array<f32>;

@compute @workgroup_size(DOWN * ACROSS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let quads = args.cols / 4u;
    let tiles = ((args.inner + 3u) / 4u + ACROSS * INPUTS - 1u) / (ACROSS * INPUTS);
    let row_0 = (group / tiles * DOWN + lane / ACROSS) * ROWS;
    let input_0 = group % tiles * (ACROSS * INPUTS) + lane % ACROSS; // in quads of inputs

    // As in forward_block: constant loops, clamped reads.
    var sum: array<array<vec4<f32>, INPUTS>, ROWS>; // [row][input / 4], one input a component
    var total: array<vec4<f32>, ROWS>;
    var seats: array<array<Seat, 4>, INPUTS>;
    for (var i = 0u; i < INPUTS; i++) {
        for (var m = 0u; m < 4u; m++) { seats[i][m] = x_seat(min(4u * (input_0 + i * ACROSS) + m, args.inner - 1u)); }
    }
    for (var site = 0u; site < sites(); site++) {
        var source: array<array<From, 4>, INPUTS>;
        for (var i = 0u; i < INPUTS; i++) {
            for (var m = 0u; m < 4u; m++) { source[i][m] = x_at(seats[i][m], site); }
        }
        let y_quad = site * site_quads();
        for (var c = 0u; c < site_quads(); c += PER) {
            var xs: array<array<array<vec4<f32>, PER>, 4>, INPUTS>;
            for (var i = 0u; i < INPUTS; i++) {
                for (var m = 0u; m < 4u; m++) {
                    xs[i][m] = x_load((source[i][m].at + c) / PER);
                    for (var p = 0u; p < PER; p++) { xs[i][m][p] = held(xs[i][m][p], source[i][m].open); }
                }
            }
            for (var p = 0u; p < PER; p++) {
                for (var r = 0u; r < ROWS; r++) {
                    let dy = d_y_quad(min(row_0 + r, args.rows - 1u) * quads + y_quad + c + p);
                    total[r] += dy;
                    for (var i = 0u; i < INPUTS; i++) {
                        sum[r][i] += vec4<f32>(
                            dot(dy, xs[i][0][p]), dot(dy, xs[i][1][p]), dot(dy, xs[i][2][p]), dot(dy, xs[i][3][p]));
                    }
                }
            }
        }
    }

    for (var r = 0u; r < ROWS; r++) {
        let row = row_0 + r;
        if row < args.rows {
            for (var i = 0u; i < INPUTS; i++) { write_d_weight(row, input_0 + i * ACROSS, sum[r][i]); }
            if input_0 == 0u { d_bias[row] = total[r].x + total[r].y + total[r].z + total[r].w; }
        }
    }
}
