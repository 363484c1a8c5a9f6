// Pooling of images: the largest number of each window, or the mean of all.
//   largest: y = the largest x of a window, and won = its tap: of equal ones the first in the order of rows, and NaN before
//            any number, as in PyTorch; NO_TAP where that is not above 0 if RECTIFIES, so that no gradient passes into what a
//            ReLU has made 0. largest_backward: d_x = the sum of d_y over the windows that x won (+= if ADDS).
//   mean:    y = the sum of a window over the number of its taps: zeros around x count. mean_backward: d_x = the sum of d_y
//            over all windows that x lies in, over the number of taps (+= if ADDS).
// x, d_x: (channels, height, width, batch). y, d_y: (channels, out_height, out_width, batch). won: as y, one byte each.
// One invocation per quad of the batch in what is written. Padding is at most half of the kernel, so that each window has a
// tap inside.
// Left open: part by_*.
//#use common/divided
//#use common/grid
const WG = 64u;
const SIGN = 0x80000000u;
const INFINITY = 0x7f800000u;

const NO_TAP = 255u;

override ADDS = false;
override RECTIFIES = false;

struct Args {
    len: u32, // quads that are written
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    kernel_height: u32,
    kernel_width: u32,
    stride: u32,
    padding: u32,
    quads: u32, // of the batch
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> won: array<u32>;
@group(0) @binding(7) var<storage, read_write> d_x: array<vec4<f32>>;

struct Site { channel: u32, h: u32, w: u32, b: u32 }

fn site_of(i: u32, height: u32, width: u32) -> Site {
    let at = divided(i, args.quads);
    let row = divided(at, width);
    let channel = divided(row, height);
    return Site(channel, row - channel * height, at - row * width, i - at * args.quads);
}

fn quad_of(site: Site, height: u32, width: u32) -> u32 {
    return ((site.channel * height + site.h) * width + site.w) * args.quads + site.b;
}

// Fast-math may take x != x for false.
fn is_nan(x: vec4<f32>) -> vec4<bool> {
    return (bitcast<vec4<u32>>(x) & vec4<u32>(~SIGN)) > vec4<u32>(INFINITY);
}

fn bytes_of(taps: vec4<u32>) -> u32 {
    return taps.x | (taps.y << 8u) | (taps.z << 16u) | (taps.w << 24u);
}

fn taps_of(word: u32) -> vec4<u32> {
    return (vec4<u32>(word) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(255u);
}

// The first and the last window along an axis that a site lies in.
fn first_window(at: u32, kernel: u32) -> u32 {
    let end = at + args.padding;
    return select(0u, divided(max(end, kernel) - kernel, args.stride) + 1u, end >= kernel);
}
fn last_window(at: u32, out: u32) -> u32 {
    return min(divided(at + args.padding, args.stride), out - 1u);
}

@compute @workgroup_size(WG)
fn largest(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.len) { return; }
    let to = site_of(i, args.out_height, args.out_width);
    var best = vec4<f32>(0.0);
    var taps = vec4<u32>(0u);
    var first = true;
    for (var down = 0u; down < args.kernel_height; down++) {
        // Before 0 numbers wrap around to large ones, which are outside as well.
        let h = to.h * args.stride + down - args.padding;
        for (var across = 0u; across < args.kernel_width; across++) {
            let w = to.w * args.stride + across - args.padding;
            if h < args.height && w < args.width {
                let value = x_at(quad_of(Site(to.channel, h, w, to.b), args.height, args.width));
                let wins = vec4<bool>(first) | is_nan(value) | ((value > best) & !is_nan(best));
                best = select(best, value, wins);
                taps = select(taps, vec4<u32>(down * args.kernel_width + across), wins);
                first = false;
            }
        }
    }
    y[i] = best;
    if RECTIFIES { taps = select(vec4<u32>(NO_TAP), taps, best > vec4<f32>(0.0)); }
    won[i] = bytes_of(taps);
}

@compute @workgroup_size(WG)
fn largest_backward(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                    @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.len) { return; }
    let own = site_of(i, args.height, args.width);
    let last = vec2<u32>(last_window(own.h, args.out_height), last_window(own.w, args.out_width));
    let first_w = first_window(own.w, args.kernel_width);
    var sum = vec4<f32>(0.0);
    for (var h = first_window(own.h, args.kernel_height); h <= last.x; h++) {
        let down = own.h + args.padding - h * args.stride;
        for (var w = first_w; w <= last.y; w++) {
            let across = own.w + args.padding - w * args.stride;
            let at = quad_of(Site(own.channel, h, w, own.b), args.out_height, args.out_width);
            let is_own = taps_of(winner_at(at)) == vec4<u32>(down * args.kernel_width + across);
            sum += select(vec4<f32>(0.0), d_y_at(at), is_own);
        }
    }
    if ADDS {
        d_x[i] += sum;
    } else {
        d_x[i] = sum;
    }
}

fn share() -> f32 { return 1.0 / f32(args.kernel_height * args.kernel_width); }

@compute @workgroup_size(WG)
fn mean(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.len) { return; }
    let to = site_of(i, args.out_height, args.out_width);
    var sum = vec4<f32>(0.0);
    for (var down = 0u; down < args.kernel_height; down++) {
        let h = to.h * args.stride + down - args.padding;
        for (var across = 0u; across < args.kernel_width; across++) {
            let w = to.w * args.stride + across - args.padding;
            if h < args.height && w < args.width {
                sum += x_at(quad_of(Site(to.channel, h, w, to.b), args.height, args.width));
            }
        }
    }
    y[i] = sum * share();
}

@compute @workgroup_size(WG)
fn mean_backward(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                 @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.len) { return; }
    let own = site_of(i, args.height, args.width);
    let last = vec2<u32>(last_window(own.h, args.out_height), last_window(own.w, args.out_width));
    let first_w = first_window(own.w, args.kernel_width);
    var sum = vec4<f32>(0.0);
    for (var h = first_window(own.h, args.kernel_height); h <= last.x; h++) {
        for (var w = first_w; w <= last.y; w++) {
            sum += d_y_at(quad_of(Site(own.channel, h, w, own.b), args.out_height, args.out_width));
        }
    }
    if ADDS {
        d_x[i] += sum * share();
    } else {
        d_x[i] = sum * share();
    }
}
