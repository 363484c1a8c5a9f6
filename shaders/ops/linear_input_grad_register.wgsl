// d_x = transpose(weight) * d_y, and 0 where args.relu and x, the activated input, is not positive. Register-blocked.
// weight: (rows, inner); d_y: (rows, cols); x, d_x: (inner, cols); cols % 4 == 0.
// One invocation makes 4 * INNER_QUADS inputs by QUADS quads of columns; a workgroup is LANES invocations side by side.
// Workgroups: ceil(inner / (4 * INNER_QUADS)) * ceil(cols / (4 * QUADS * LANES)), columns innermost.
//#use common/grid
struct Args {
    rows: u32,
    inner: u32,
    cols: u32,
    relu: u32,
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(3) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> d_y: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> d_x: array<vec4<f32>>;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let quads = args.cols / 4u;
    let tiles = (quads + LANES * QUADS - 1u) / (LANES * QUADS);
    let input_0 = group / tiles * INNER_QUADS; // in quads of inputs
    let quad_0 = group % tiles * LANES * QUADS + lane;

    // As in linear_forward_register: constant loops, clamped reads. Four rows a round, so that `sum` is touched once
    // for four products; rows past the end are read again and weighted with zero.
    var sum: array<array<array<vec4<f32>, QUADS>, 4>, INNER_QUADS>; // [input / 4][input % 4][quad]
    for (var row = 0u; row < args.rows; row += 4u) {
        var dys: array<array<vec4<f32>, QUADS>, 4>;
        for (var j = 0u; j < 4u; j++) {
            let first = min(row + j, args.rows - 1u) * quads;
            for (var q = 0u; q < QUADS; q++) { dys[j][q] = d_y[first + min(quad_0 + q * LANES, quads - 1u)]; }
        }
        for (var i = 0u; i < INNER_QUADS; i++) {
            var w: array<vec4<f32>, 4>;
            for (var j = 0u; j < 4u; j++) {
                w[j] = select(vec4(0.0), weight_quad(row + j, input_0 + i), row + j < args.rows);
            }
            for (var m = 0u; m < 4u; m++) {
                for (var q = 0u; q < QUADS; q++) {
                    sum[i][m][q] = sum[i][m][q] + w[0][m] * dys[0][q] + w[1][m] * dys[1][q]
                        + w[2][m] * dys[2][q] + w[3][m] * dys[3][q];
                }
            }
        }
    }

    for (var i = 0u; i < INNER_QUADS; i++) {
        for (var m = 0u; m < 4u; m++) {
            let input = (input_0 + i) * 4u + m;
            for (var q = 0u; q < QUADS; q++) {
                let quad = quad_0 + q * LANES;
                if input < args.inner && quad < quads {
                    let at = input * quads + quad;
                    let passes = vec4(args.relu == 0u) | (x[at] > vec4(0.0));
                    d_x[at] = select(vec4(0.0), sum[i][m][q], passes);
                }
            }
        }
    }
}
