// d_x = weight^T d_y, added to what is there if args.onto says so, then 0 where x is not positive if args.relu, for depthwise
// convolutions. An invocation makes a strip of d_x: see forward_strip.
// weight: (rows, KERNEL * KERNEL). d_y: (rows, cols). x, d_x: (channels, their columns).
// Workgroups: ceil(channels * strips of a channel / WG).
// Left open: WG, SITES, KERNEL, STRIDE; parts sites_window, weight_*, x_*, d_y_*.
//#use common/grid
//#use ops/product/args
//#use ops/product/strip
//#use ops/product/strip_taps
const REACH = SITES + KERNEL - 1u; // sites side by side whose gradients a strip reads, were the stride 1

@group(0) @binding(7) var<storage, read_write> d_x: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    let strips = window.height * strips_across(window.width) * window.quads;
    let channel = divided(i, strips);
    if !(group < grid.end && channel < x_channels()) { return; }
    let strip = strip_of(i - channel * strips, window.width);
    let rows = rows_of(channel);
    var sum: array<vec4<f32>, SITES>;
    for (var row = rows.x; row < rows.y; row++) {
        for (var line = 0u; line < KERNEL; line++) {
            let h = strip.h + window.padding - line;
            if h % STRIDE != 0u { continue; } // no line of y reads it by these taps
            var ds: array<vec4<f32>, REACH>;
            for (var j = 0u; j < REACH; j++) {
                let source = y_from_site(h, strip.w + window.padding + j - (KERNEL - 1u), strip.b, STRIDE);
                ds[j] = held(d_y_quad(row * (args.cols / 4u) + source.at), source.open);
            }
            let taps = taps_of(row, line);
            for (var k = 0u; k < KERNEL; k++) {
                for (var s = 0u; s < SITES; s++) { sum[s] += taps[k / 4u][k % 4u] * ds[s + KERNEL - 1u - k]; }
            }
        }
    }
    for (var s = 0u; s < SITES; s++) {
        if strip.w + s < window.width {
            let site = strip.h * window.width + strip.w + s;
            let at = channel * (x_cols() / 4u) + site * window.quads + strip.b;
            var value = sum[s];
            if args.onto != REPLACES { value += d_x[at]; }
            if args.relu != 0u { value = select(vec4<f32>(0.0), value, x_load(at)[0] > vec4<f32>(0.0)); }
            d_x[at] = value;
        }
    }
}
