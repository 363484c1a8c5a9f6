// d_x = weight^T d_y over the kept entries of a packed weight, and 0 where x is not positive if args.relu.
// d_y: (rows, cols). x, d_x: (inner, cols). The transposed order: starts: (inner + 1,), where the entries of each input
// begin; columns: the row of blocks of each; entry_from: its number in row order, which is how values are stored.
// An invocation makes EACH inputs, one after another, of QUADS quads of columns; a workgroup has DOWN by ACROSS
// invocations. Workgroups: ceil(inner / (DOWN EACH)) * ceil(cols / (4 ACROSS QUADS)).
//#use common/grid
//#use ops/packed/args
//#use ops/packed/columns_list
@group(0) @binding(7) var<storage, read_write> d_x: array<vec4<f32>>;
@group(0) @binding(11) var<storage, read> starts: array<u32>;
@group(0) @binding(14) var<storage, read> entry_from: array<u32>;

@compute @workgroup_size(DOWN * ACROSS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let quads = args.cols / 4u;
    let tiles = (quads + ACROSS * QUADS - 1u) / (ACROSS * QUADS);
    let input_0 = group / tiles * (DOWN * EACH) + lane / ACROSS;
    let quad_0 = group % tiles * (ACROSS * QUADS) + lane % ACROSS;
    for (var n = 0u; n < EACH; n++) {
        let input = input_0 + n * DOWN;
        if input < args.inner {
            var sum: array<vec4<f32>, QUADS>; // zero at first; in order of row, as the dense product's
            let end = starts[input + 1u];
            for (var entry = starts[input]; entry < end; entry++) {
                let first = column(entry, input) * HEIGHT;
                let w = entry_values(entry_from[entry]);
                for (var r = 0u; r < HEIGHT; r++) {
                    for (var q = 0u; q < QUADS; q++) {
                        let dy = d_y_quad((first + r) * quads + min(quad_0 + q * ACROSS, quads - 1u));
                        sum[q] = sum[q] + w[r] * dy;
                    }
                }
            }
            for (var q = 0u; q < QUADS; q++) {
                let quad = quad_0 + q * ACROSS;
                if quad < quads {
                    let at = input * quads + quad;
                    var value = sum[q];
                    if args.relu != 0u { value = select(vec4<f32>(0.0), value, x_quad(at) > vec4<f32>(0.0)); }
                    d_x[at] = value;
                }
            }
        }
    }
}
