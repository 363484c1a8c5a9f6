// d_weight = d_y * transpose(x); d_bias = sum of d_y over the columns. Register-blocked: no workgroup memory.
// d_y: (rows, cols); x: (inner, cols); d_weight: (rows, inner); d_bias: (rows); cols % 4 == 0.
// One invocation makes ROWS rows by INNER_QUADS quads of inputs; a workgroup is LANES invocations along the inputs.
// Workgroups: ceil(rows / ROWS) * ceil(inner / (4 * INNER_QUADS * LANES)), inputs innermost.
//#use common/grid
struct Args {
    rows: u32,
    inner: u32,
    cols: u32,
    relu: u32,
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> d_y: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> d_bias: array<f32>;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let quads = args.cols / 4u;
    let inner_quads = (args.inner + 3u) / 4u;
    let tiles = (inner_quads + LANES * INNER_QUADS - 1u) / (LANES * INNER_QUADS);
    let row_0 = group / tiles * ROWS;
    let input_0 = group % tiles * LANES * INNER_QUADS + lane; // in quads of inputs

    // As in linear_forward_register: constant loops, clamped reads.
    var sum: array<array<vec4<f32>, INNER_QUADS>, ROWS>; // [row][input / 4]
    var total: array<vec4<f32>, ROWS>;
    for (var c = 0u; c < quads; c++) {
        var xs: array<array<vec4<f32>, 4>, INNER_QUADS>;
        for (var i = 0u; i < INNER_QUADS; i++) {
            for (var m = 0u; m < 4u; m++) {
                xs[i][m] = x[min(4u * (input_0 + i * LANES) + m, args.inner - 1u) * quads + c];
            }
        }
        for (var r = 0u; r < ROWS; r++) {
            let dy = d_y[min(row_0 + r, args.rows - 1u) * quads + c];
            total[r] += dy;
            for (var i = 0u; i < INNER_QUADS; i++) {
                sum[r][i] += vec4(dot(dy, xs[i][0]), dot(dy, xs[i][1]), dot(dy, xs[i][2]), dot(dy, xs[i][3]));
            }
        }
    }

    for (var r = 0u; r < ROWS; r++) {
        let row = row_0 + r;
        if row < args.rows {
            for (var i = 0u; i < INNER_QUADS; i++) { write_d_weight(row, input_0 + i * LANES, sum[r][i]); }
            if input_0 == 0u { d_bias[row] = total[r].x + total[r].y + total[r].z + total[r].w; }
        }
    }
}
