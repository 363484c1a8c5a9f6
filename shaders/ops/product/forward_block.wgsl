// y = bias + weight x, then ReLU if args.relu. Blocked in registers, without workgroup memory: for software adapters.
// weight: (rows, taps, channels). bias: (rows,). x: (channels, its columns). y: (rows, cols).
// An invocation makes ROWS rows of QUADS quads of columns, which it loads PER at a time; the DOWN * ACROSS of a workgroup
// lie DOWN rows of blocks by ACROSS columns of loads.
// Workgroups: ceil(rows / (DOWN ROWS)) * ceil(cols / (4 ACROSS QUADS)).
// Left open: ROWS, QUADS; parts sites_*, inputs_*, weight_*, x_*.
//#use common/grid
//#use ops/rectify
//#use ops/product/args
const DOWN = 1u;
const ACROSS = 8u;

@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(DOWN * ACROSS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let quads = args.cols / 4u;
    let tiles = (quads + ACROSS * QUADS - 1u) / (ACROSS * QUADS);
    let row_0 = (group / tiles * DOWN + lane / ACROSS) * ROWS;
    let loads = quads / PER; // of a row of y
    let x_loads = x_cols() / (4u * PER); // of a channel of x
    let load_0 = group % tiles * (ACROSS * QUADS / PER) + lane % ACROSS;

    // The inner loops have constant bounds and run over arrays of that length, so that compilers unroll them and keep
    // `sum` out of indexed memory. Reads past an edge are clamped, not skipped: a branch costs more than the read.
    var places: array<Place, QUADS / PER>;
    for (var l = 0u; l < QUADS / PER; l++) { places[l] = y_place(min(load_0 + l * ACROSS, loads - 1u)); }
    var sum: array<array<vec4<f32>, QUADS>, ROWS>; // zero at first
    for (var tap = 0u; tap < rounds(); tap++) {
        var source: array<From, QUADS / PER>;
        for (var l = 0u; l < QUADS / PER; l++) { source[l] = x_from(places[l], tap); }
        for (var k = 0u; k < inputs(); k += 4u) {
            var xs: array<array<vec4<f32>, QUADS>, 4>;
            for (var j = 0u; j < 4u; j++) {
                for (var l = 0u; l < QUADS / PER; l++) {
                    let own = x_input(places[l], source[l], k + j, x_loads);
                    let load = x_load(own.at);
                    for (var p = 0u; p < PER; p++) { xs[j][l * PER + p] = held(load[p], own.open); }
                }
            }
            for (var r = 0u; r < ROWS; r++) {
                let w = weight_quad(row_0 + r, tap * inputs() + k, (tap + 1u) * inputs());
                for (var q = 0u; q < QUADS; q++) {
                    sum[r][q] = sum[r][q] + w.x * xs[0][q] + w.y * xs[1][q] + w.z * xs[2][q] + w.w * xs[3][q];
                }
            }
        }
    }

    for (var r = 0u; r < ROWS; r++) {
        let row = row_0 + r;
        let b = bias[min(row, args.rows - 1u)];
        for (var q = 0u; q < QUADS; q++) {
            let quad = (load_0 + q / PER * ACROSS) * PER + q % PER;
            let value = sum[r][q] + b;
            if row < args.rows && quad < quads {
                y[row * quads + quad] = select(value, rectified_quad(value), args.relu != 0u);
            }
        }
    }
}
