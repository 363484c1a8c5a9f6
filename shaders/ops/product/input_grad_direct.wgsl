// d_x = weight^T d_y, added to what is there if args.onto says so, then 0 where x is not positive if args.relu, for convolutions
// in groups: see forward_direct. One invocation a quad of d_x.
// weight: (rows, taps, channels of a group). d_y: (rows, cols). x, d_x: (channels, their columns).
// Workgroups: ceil(channels columns / (4 WG)).
// Left open: WG; part sites_*.
//#use common/grid
//#use ops/product/args
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> d_y: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> d_x: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    let quads = x_cols() / 4u;
    let channel = i / quads;
    if !(group < grid.end && channel < x_channels()) { return; }
    let place = x_place(i - channel * quads);
    let rows = rows_of(channel / channels());
    let k = channel % channels();
    var sum = vec4<f32>(0.0);
    if args.onto == GOES_ON { sum = d_x[i]; }
    for (var tap = 0u; tap < taps(); tap++) {
        let source = y_from(place, tap);
        for (var row = rows.x; row < rows.y; row++) {
            let w = weight[(row * taps() + tap) * channels() + k];
            sum += w * held(d_y[row * (args.cols / 4u) + source.at], source.open);
        }
    }
    if args.onto == ADDS { sum += d_x[i]; }
    if args.relu != 0u { sum = select(vec4<f32>(0.0), sum, x[i] > vec4<f32>(0.0)); }
    d_x[i] = sum;
}
