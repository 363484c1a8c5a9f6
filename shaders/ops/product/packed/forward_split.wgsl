// y = bias + weight x, then ReLU if args.relu, over the kept entries of a packed weight; the entries of a row are dealt to
// SLICES invocations, so that a long row does not keep others waiting.
// x: (channels, its columns). bias: (rows,). out: y (rows, cols). starts: (rows of blocks + 1,), where the entries of each begin.
// A workgroup makes one row of blocks of 4 ACROSS columns. Its sums are added slice by slice: not the order of the dense
// product.
// Workgroups: rows * ceil(cols / (4 ACROSS)).
// Left open: HEIGHT, SLICES, ACROSS; parts sites_*, entries_*, values_*, x_*, out_*.
//#use common/grid
//#use ops/rectify
//#use ops/product/packed/args
//#use ops/product/packed/bands
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(11) var<storage, read> starts: array<u32>;

var<workgroup> parts: array<array<vec4<f32>, HEIGHT>, SLICES * ACROSS>;

@compute @workgroup_size(SLICES * ACROSS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let quads = args.cols / 4u;
    let tiles = (quads + ACROSS - 1u) / ACROSS;
    let part = in_band(group, args.rows, tiles);
    let row = part.line;
    let quad = part.tile * ACROSS + lane % ACROSS;
    let at = load_at(min(quad, quads - 1u));
    var sum: array<vec4<f32>, HEIGHT>; // zero at first
    let end = starts[row + 1u];
    for (var entry = starts[row] + lane / ACROSS; entry < end; entry += SLICES) {
        let xs = x_load(column(entry, row) * unit() + at);
        let w = entry_values(entry);
        for (var r = 0u; r < HEIGHT; r++) { sum[r] = sum[r] + w[r] * xs[0]; }
    }
    parts[lane] = sum;
    workgroupBarrier();
    if lane < ACROSS && quad < quads {
        for (var r = 0u; r < HEIGHT; r++) {
            var value = parts[lane][r];
            for (var slice = 1u; slice < SLICES; slice++) { value = value + parts[slice * ACROSS + lane][r]; }
            value = value + bias[row * HEIGHT + r];
            value = select(value, rectified_quad(value), args.relu != 0u);
            put((row * HEIGHT + r) * quads + quad, array<vec4<f32>, PER>(value));
        }
    }
}
