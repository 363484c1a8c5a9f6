// y = bias + weight x, then ReLU if args.relu, over the kept entries of a packed weight.
// x: (inner, cols). bias: (rows,). y: (rows, cols). starts: (rows of blocks + 1,), where the entries of each begin.
// One input is shared by the HEIGHT rows of a block and by all columns: an entry is read once for a run of columns.
// An invocation makes EACH rows of blocks, one after another, of QUADS quads of columns; a workgroup has DOWN by ACROSS
// invocations. Workgroups: ceil(rows / (DOWN EACH)) * ceil(cols / (4 ACROSS QUADS)).
//#use common/grid
//#use ops/packed/args
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(11) var<storage, read> starts: array<u32>;

@compute @workgroup_size(DOWN * ACROSS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let quads = args.cols / 4u;
    let tiles = (quads + ACROSS * QUADS - 1u) / (ACROSS * QUADS);
    let row_0 = group / tiles * (DOWN * EACH) + lane / ACROSS;
    let quad_0 = group % tiles * (ACROSS * QUADS) + lane % ACROSS;
    for (var n = 0u; n < EACH; n++) {
        let row = row_0 + n * DOWN;
        if row < args.rows {
            // Entries are added in order of input, so that the sum has the bits of the dense product's.
            var sum: array<array<vec4<f32>, QUADS>, HEIGHT>; // zero at first
            let end = starts[row + 1u];
            for (var entry = starts[row]; entry < end; entry++) {
                let first = column(entry, row) * quads;
                let w = entry_values(entry);
                for (var q = 0u; q < QUADS; q++) {
                    let x = x_quad(first + min(quad_0 + q * ACROSS, quads - 1u));
                    for (var r = 0u; r < HEIGHT; r++) { sum[r][q] = sum[r][q] + w[r] * x; }
                }
            }
            for (var r = 0u; r < HEIGHT; r++) {
                let b = bias[row * HEIGHT + r];
                for (var q = 0u; q < QUADS; q++) {
                    let quad = quad_0 + q * ACROSS;
                    let value = sum[r][q] + b;
                    if quad < quads {
                        y[(row * HEIGHT + r) * quads + quad] = select(value, max(value, vec4<f32>(0.0)), args.relu != 0u);
                    }
                }
            }
        }
    }
}
