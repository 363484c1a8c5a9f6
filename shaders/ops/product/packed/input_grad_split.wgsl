// d_x = weight^T d_y over the kept entries of a packed weight, and 0 where x is not positive if args.relu; the entries of an
// input are dealt to SLICES invocations, so that an input with many does not keep others waiting.
// d_y: (rows, its columns). x, out: d_x (inner, cols), of inputs, or of a convolution's channels. The transposed order:
// starts: (inner + 1,), where the entries of each input
// begin; placed(entry, input): the row of blocks of each and its number in row order, which is how values are stored.
// A workgroup makes one input of 4 ACROSS columns. Its sums are added slice by slice: not the order of the dense product.
// Workgroups: inner * ceil(cols / (4 ACROSS)).
// Left open: HEIGHT, SLICES, ACROSS; parts sites_*, entries_*, values_*, x_*, d_y_*, out_*.
//#use common/grid
//#use ops/product/packed/args
//#use ops/product/packed/bands
@group(0) @binding(11) var<storage, read> starts: array<u32>;

var<workgroup> parts: array<vec4<f32>, SLICES * ACROSS>;

@compute @workgroup_size(SLICES * ACROSS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let quads = args.cols / 4u;
    let tiles = (quads + ACROSS - 1u) / ACROSS;
    let part = in_band(group, args.inner, tiles);
    let input = part.line;
    let quad = part.tile * ACROSS + lane % ACROSS;
    let from_load = load_at(min(quad, quads - 1u));
    var sum = vec4<f32>(0.0);
    let end = starts[input + 1u];
    for (var entry = starts[input] + lane / ACROSS; entry < end; entry += SLICES) {
        let at = placed(entry, input);
        let w = entry_values(at.entry);
        for (var r = 0u; r < HEIGHT; r++) {
            sum = sum + w[r] * d_y_load(row_at(at.row) + r * pitch() + from_load)[0];
        }
    }
    parts[lane] = sum;
    workgroupBarrier();
    if lane < ACROSS && quad < quads {
        var value = parts[lane];
        for (var slice = 1u; slice < SLICES; slice++) { value = value + parts[slice * ACROSS + lane]; }
        let open = vec4<bool>(args.relu == 0u) | (x_load(input * quads + quad)[0] > vec4<f32>(0.0));
        put(input * quads + quad, array<vec4<f32>, PER>(select(vec4<f32>(0.0), value, open)));
    }
}
