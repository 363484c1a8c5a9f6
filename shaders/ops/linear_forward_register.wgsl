// y = act(bias + weight * x); act is ReLU if args.relu, else the identity. Register-blocked: no workgroup memory.
// weight: (rows, inner); bias: (rows); x: (inner, cols); y: (rows, cols); cols % 4 == 0.
// One invocation makes ROWS rows by QUADS quads of columns; a workgroup is LANES invocations side by side.
// Workgroups: ceil(rows / ROWS) * ceil(cols / (4 * QUADS * LANES)), columns innermost.
//#use common/grid
struct Args {
    rows: u32,
    inner: u32,
    cols: u32,
    relu: u32,
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;

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
    let row_0 = group / tiles * ROWS;
    let quad_0 = group % tiles * LANES * QUADS + lane;

    // Loops over ROWS and QUADS have constant bounds and arrays of that length, so that compilers unroll them and
    // keep `sum` in registers. Reads past the edge are clamped, not skipped: a branch costs more than the read.
    var sum: array<array<vec4<f32>, QUADS>, ROWS>; // [row][quad], starts at zero
    for (var k = 0u; k < args.inner; k += 4u) {
        var xs: array<array<vec4<f32>, QUADS>, 4>;
        for (var j = 0u; j < 4u; j++) {
            let row = min(k + j, args.inner - 1u) * quads;
            for (var q = 0u; q < QUADS; q++) { xs[j][q] = x[row + min(quad_0 + q * LANES, quads - 1u)]; }
        }
        for (var r = 0u; r < ROWS; r++) {
            let w = weight_quad(row_0 + r, k / 4u);
            for (var q = 0u; q < QUADS; q++) {
                sum[r][q] = sum[r][q] + w.x * xs[0][q] + w.y * xs[1][q] + w.z * xs[2][q] + w.w * xs[3][q];
            }
        }
    }

    for (var r = 0u; r < ROWS; r++) {
        let row = row_0 + r;
        let b = bias[min(row, args.rows - 1u)];
        for (var q = 0u; q < QUADS; q++) {
            let quad = quad_0 + q * LANES;
            if row < args.rows && quad < quads {
                let value = sum[r][q] + b;
                y[row * quads + quad] = select(value, max(value, vec4(0.0)), args.relu != 0u);
            }
        }
    }
}
