// d_weight = d_y x^T; d_bias = sum of d_y over the columns, for depthwise convolutions. A workgroup makes a line of taps of a
// row; its WG invocations take strips of d_y in turns, and add up what they have in their order.
// d_y: (rows, cols). x: (channels, its columns). d_weight: (rows, KERNEL * KERNEL). d_bias: (rows,).
// Workgroups: rows * KERNEL.
// Left open: WG, SITES, KERNEL, STRIDE; parts sites_window, x_*, d_y_*.
//#use common/grid
//#use ops/product/args
//#use ops/product/strip
const REACH = (SITES - 1u) * STRIDE + KERNEL; // sites of x side by side that a strip reads
const SUMS = KERNEL + 1u; // of each tap, and of d_y

@group(0) @binding(8) var<storage, read_write> d_weight: array<f32>;
@group(0) @binding(9) var<storage, read_write> d_bias: array<f32>;

var<workgroup> shares: array<f32, WG * SUMS>;

fn sum_of(value: vec4<f32>) -> f32 { return (value.x + value.y) + (value.z + value.w); }

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let row = min(group / KERNEL, args.rows - 1u);
    let line = group % KERNEL;
    let first = first_channel(row) * (x_cols() / 4u);
    let strips = window.out_height * strips_across(window.out_width) * window.quads;
    var sum: array<vec4<f32>, KERNEL>;
    var total = vec4<f32>(0.0);
    for (var i = lane; i < strips; i += WG) {
        let strip = strip_of(i, window.out_width);
        let h = strip.h * STRIDE + line - window.padding;
        var xs: array<vec4<f32>, REACH>;
        for (var j = 0u; j < REACH; j++) {
            let source = x_from_site(h, strip.w * STRIDE + j - window.padding, strip.b);
            xs[j] = held(x_load(first + source.at)[0], source.open);
        }
        for (var s = 0u; s < SITES; s++) {
            let there = strip.w + s < window.out_width;
            let w = min(strip.w + s, window.out_width - 1u);
            let at = row * (args.cols / 4u) + (strip.h * window.out_width + w) * window.quads + strip.b;
            let d = held(d_y_quad(at), there);
            total += d;
            for (var k = 0u; k < KERNEL; k++) { sum[k] += held(d * xs[s * STRIDE + k], there); }
        }
    }
    for (var k = 0u; k < KERNEL; k++) { shares[lane * SUMS + k] = sum_of(sum[k]); }
    shares[lane * SUMS + KERNEL] = sum_of(total);
    workgroupBarrier();
    for (var number = lane; number < SUMS; number += WG) {
        var all = shares[number];
        for (var l = 1u; l < WG; l++) { all += shares[l * SUMS + number]; }
        if group < grid.end {
            if number < KERNEL {
                d_weight[row * args.inner + line * KERNEL + number] = all;
            } else if line == 0u {
                d_bias[row] = all;
            }
        }
    }
}
