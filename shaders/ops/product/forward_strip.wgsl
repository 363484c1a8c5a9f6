// y = bias + weight x, then ReLU if args.relu, for depthwise convolutions. An invocation makes a strip of y, and reads once
// what its sites have in common.
// weight: (rows, KERNEL * KERNEL). bias: (rows,). x: (channels, its columns). y: (rows, cols).
// Workgroups: ceil(rows * strips of a row / WG).
// Left open: WG, SITES, KERNEL, STRIDE; parts sites_window, weight_*, x_*.
//#use common/grid
//#use ops/rectify
//#use ops/product/args
//#use ops/product/strip
//#use ops/product/strip_taps
const REACH = (SITES - 1u) * STRIDE + KERNEL; // sites of x side by side that a strip reads

@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    let strips = window.out_height * strips_across(window.out_width) * window.quads;
    let row = divided(i, strips);
    if !(group < grid.end && row < args.rows) { return; }
    let strip = strip_of(i - row * strips, window.out_width);
    let first = first_channel(row) * (x_cols() / 4u);
    var sum: array<vec4<f32>, SITES>;
    for (var line = 0u; line < KERNEL; line++) {
        let h = strip.h * STRIDE + line - window.padding;
        var xs: array<vec4<f32>, REACH>;
        for (var j = 0u; j < REACH; j++) {
            let source = x_from_site(h, strip.w * STRIDE + j - window.padding, strip.b);
            xs[j] = held(x_load(first + source.at)[0], source.open);
        }
        let taps = taps_of(row, line);
        for (var k = 0u; k < KERNEL; k++) {
            for (var s = 0u; s < SITES; s++) { sum[s] += taps[k / 4u][k % 4u] * xs[s * STRIDE + k]; }
        }
    }
    let own = bias[row];
    for (var s = 0u; s < SITES; s++) {
        if strip.w + s < window.out_width {
            let value = sum[s] + own;
            let site = strip.h * window.out_width + strip.w + s;
            y[row * (args.cols / 4u) + site * window.quads + strip.b] =
                select(value, rectified_quad(value), args.relu != 0u);
        }
    }
}
