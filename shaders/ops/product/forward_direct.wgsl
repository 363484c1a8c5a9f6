// y = bias + weight x, then ReLU if args.relu, for convolutions in groups, depthwise ones among them: a row reads few channels,
// so that nothing is worth sharing. One invocation a quad of y.
// weight: (rows, taps, channels of a group). bias: (rows,). x: (channels, its columns). y: (rows, cols).
// Workgroups: ceil(rows cols / (4 WG)).
// Left open: WG; part sites_*.
//#use common/grid
//#use ops/rectify
//#use ops/product/args
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    let quads = args.cols / 4u;
    let row = i / quads;
    if !(group < grid.end && row < args.rows) { return; }
    let place = y_place(i - row * quads);
    let x_quads = x_cols() / 4u;
    let first = first_channel(row) * x_quads;
    var sum = vec4<f32>(0.0);
    for (var tap = 0u; tap < taps(); tap++) {
        let source = x_from(place, tap);
        for (var k = 0u; k < channels(); k++) {
            let w = weight[(row * taps() + tap) * channels() + k];
            sum += w * held(x[first + k * x_quads + source.at], source.open);
        }
    }
    let value = sum + bias[row];
    y[i] = select(value, rectified_quad(value), args.relu != 0u);
}
