// Batch normalisation: y = (x - mean) / sqrt(variance + epsilon) * weight + bias, by channel.   Ioffe & Szegedy, 2015.
// Mean and variance are those of a batch's columns with a sample, or running ones.
//   observe:         of each part of a row: how many columns count, their mean, the sum of squared deviations from it.
//   gather:          those of a row from its parts, and what running statistics move by: batch_mean, batch_variance (over n - 1).
//   recall:          mean and deviation from running statistics.
//   normalise:       y, rectified if RELU.
//   observe_backward, gather_backward: d_weight = sum of d_y x', d_bias = sum of d_y, with x' = (x - mean) / deviation.
//   differentiate:   d_x = weight / deviation (d_y - mean of d_y - x' mean of d_y x'), by running statistics without the two
//                    means; 0 where there is no sample (+= if ADDS).
// d_y counts where y > 0 if RELU.
// x, y, d_y, d_x: (channels, cols), columns (sites, batch). weight, bias, batch_mean, running_mean and so on: (channels,).
// parts: (channels, parts, 4). moments: (channels, 2): mean and 1 / deviation. sums: (channels, 2): the two means.
// One workgroup a part in `observe`, one a row in `gather`, one invocation a channel in `recall`, a quad in all others.
//#use common/grid
//#use common/step
//#use common/tree
//#use ops/rectify
alias Summed = vec2<f32>;
const WG = 256u;
const EACH = 4u; // quads of an invocation, in registers

override RELU = false;
override ADDS = false;

struct Args {
    channels: u32,
    quads: u32,       // of a row
    batch_quads: u32, // of a site
    parts: u32,       // of a row
    epsilon: f32,
    fixed: u32,       // whether mean and variance are running ones
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> d_y: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> weight: array<f32>;
@group(0) @binding(5) var<storage, read> bias: array<f32>;
@group(0) @binding(6) var<storage, read> moments: array<f32>;
@group(0) @binding(7) var<storage, read> sums: array<f32>;
@group(0) @binding(8) var<storage, read> parts: array<vec4<f32>>;
@group(0) @binding(9) var<storage, read_write> new_parts: array<vec4<f32>>;
@group(0) @binding(10) var<storage, read_write> new_moments: array<f32>;
@group(0) @binding(11) var<storage, read_write> new_sums: array<f32>;
@group(0) @binding(12) var<storage, read_write> batch_mean: array<f32>;
@group(0) @binding(13) var<storage, read_write> batch_variance: array<f32>;
@group(0) @binding(14) var<storage, read> running_mean: array<f32>;
@group(0) @binding(15) var<storage, read> running_variance: array<f32>;
@group(0) @binding(17) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(18) var<storage, read_write> d_weight: array<f32>;
@group(0) @binding(19) var<storage, read_write> d_bias: array<f32>;
@group(0) @binding(20) var<storage, read_write> d_x: array<vec4<f32>>;

// Which columns of a quad of a row hold a sample.
fn live_of(quad: u32) -> vec4<bool> {
    let col = quad % args.batch_quads * 4u;
    let end = select(0u, step.live, quad < args.quads);
    return (vec4<u32>(col) + vec4<u32>(0u, 1u, 2u, 3u)) < vec4<u32>(end);
}

fn held(value: vec4<f32>, live: vec4<bool>) -> vec4<f32> {
    return select(vec4<f32>(0.0), value, live);
}

fn sum_of(value: vec4<f32>) -> f32 { return (value.x + value.y) + (value.z + value.w); }

fn x_of(channel: u32, quad: u32) -> vec4<f32> {
    return x[channel * args.quads + min(quad, args.quads - 1u)];
}

// How many columns of a row count: all of them are a whole number in f32 up to 2^24.
fn counted() -> f32 { return max(f32(args.quads / args.batch_quads * step.live), 1.0); }

@compute @workgroup_size(WG)
fn observe(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let channel = group / args.parts;
    let quad = group % args.parts * EACH * WG + lane;
    let live_0 = live_of(quad);
    let live_1 = live_of(quad + WG);
    let live_2 = live_of(quad + 2u * WG);
    let live_3 = live_of(quad + 3u * WG);
    let x_0 = x_of(channel, quad);
    let x_1 = x_of(channel, quad + WG);
    let x_2 = x_of(channel, quad + 2u * WG);
    let x_3 = x_of(channel, quad + 3u * WG);
    let one = vec4<f32>(1.0);
    let sum = (held(x_0, live_0) + held(x_1, live_1)) + (held(x_2, live_2) + held(x_3, live_3));
    let count = (held(one, live_0) + held(one, live_1)) + (held(one, live_2) + held(one, live_3));
    let whole = tree(lane, vec2<f32>(sum_of(sum), sum_of(count)));
    workgroupBarrier();
    let n = max(whole.y, 1.0);
    let center = whole.x / n;
    let from_0 = held(x_0 - center, live_0);
    let from_1 = held(x_1 - center, live_1);
    let from_2 = held(x_2 - center, live_2);
    let from_3 = held(x_3 - center, live_3);
    let off = (from_0 + from_1) + (from_2 + from_3);
    let squares = (from_0 * from_0 + from_1 * from_1) + (from_2 * from_2 + from_3 * from_3);
    // What rounding has left of the deviations' sum, which is 0, puts mean and squares right.
    let rest = tree(lane, vec2<f32>(sum_of(off), sum_of(squares)));
    if lane == 0u {
        new_parts[group] = vec4<f32>(whole.y, center + rest.x / n, max(rest.y - rest.x * rest.x / n, 0.0), 0.0);
    }
}

var<workgroup> all: array<vec3<f32>, WG>;

// Count, mean and squares of two sets together.   Chan, Golub & LeVeque, 1979.
fn joined(a: vec3<f32>, b: vec3<f32>) -> vec3<f32> {
    let n = a.x + b.x;
    let share = b.x / max(n, 1.0);
    let apart = b.y - a.y;
    return vec3<f32>(n, a.y + apart * share, a.z + b.z + apart * apart * (a.x * share));
}

@compute @workgroup_size(WG)
fn gather(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
          @builtin(local_invocation_index) lane: u32) {
    let channel = group_index(id, groups);
    if !(channel < grid.end) { return; }
    var own = vec3<f32>(0.0);
    for (var part = lane; part < args.parts; part += WG) { own = joined(own, parts[channel * args.parts + part].xyz); }
    all[lane] = own;
    workgroupBarrier();
    for (var half = WG / 2u; half > 0u; half /= 2u) {
        if lane < half { all[lane] = joined(all[lane], all[lane + half]); }
        workgroupBarrier();
    }
    if lane == 0u {
        let n = all[0].x;
        new_moments[2u * channel] = all[0].y;
        new_moments[2u * channel + 1u] = 1.0 / sqrt(all[0].z / max(n, 1.0) + args.epsilon);
        batch_mean[channel] = all[0].y;
        batch_variance[channel] = all[0].z / max(n - 1.0, 1.0);
    }
}

@compute @workgroup_size(WG)
fn recall(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
          @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let channel = group * WG + lane;
    if !(group < grid.end && channel < args.channels) { return; }
    new_moments[2u * channel] = running_mean[channel];
    new_moments[2u * channel + 1u] = 1.0 / sqrt(running_variance[channel] + args.epsilon);
}

fn normal(channel: u32, value: vec4<f32>) -> vec4<f32> {
    return (value - moments[2u * channel]) * moments[2u * channel + 1u];
}

@compute @workgroup_size(WG)
fn normalise(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
             @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.channels * args.quads) { return; }
    let channel = i / args.quads;
    let value = normal(channel, x[i]) * weight[channel] + bias[channel];
    y[i] = select(value, rectified_quad(value), vec4<bool>(RELU));
}

// The gradient of the normalised value before ReLU.
fn d_of(channel: u32, normal: vec4<f32>, d: vec4<f32>, live: vec4<bool>) -> vec4<f32> {
    let open = (normal * weight[channel] + bias[channel]) > vec4<f32>(0.0);
    return held(d, live & (open | vec4<bool>(!RELU)));
}

@compute @workgroup_size(WG)
fn observe_backward(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                    @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let channel = group / args.parts;
    var own = vec2<f32>(0.0);
    for (var j = 0u; j < EACH; j++) {
        let quad = (group % args.parts * EACH + j) * WG + lane;
        if quad < args.quads {
            let x_normal = normal(channel, x_of(channel, quad));
            let live = live_of(quad);
            let d = d_of(channel, x_normal, d_y[channel * args.quads + quad], live);
            own += vec2<f32>(sum_of(held(d * x_normal, live)), sum_of(d));
        }
    }
    let whole = tree(lane, own);
    if lane == 0u { new_parts[group] = vec4<f32>(whole, 0.0, 0.0); }
}

@compute @workgroup_size(WG)
fn gather_backward(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                   @builtin(local_invocation_index) lane: u32) {
    let channel = group_index(id, groups);
    if !(channel < grid.end) { return; }
    var own = vec2<f32>(0.0);
    for (var part = lane; part < args.parts; part += WG) { own += parts[channel * args.parts + part].xy; }
    let whole = tree(lane, own);
    if lane == 0u {
        d_weight[channel] = whole.x;
        d_bias[channel] = whole.y;
        new_sums[2u * channel] = whole.x / counted();
        new_sums[2u * channel + 1u] = whole.y / counted();
    }
}

@compute @workgroup_size(WG)
fn differentiate(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                 @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.channels * args.quads) { return; }
    let channel = i / args.quads;
    let live = live_of(i % args.quads);
    let x_normal = normal(channel, x[i]);
    var d = d_of(channel, x_normal, d_y[i], live);
    if args.fixed == 0u { d -= vec4<f32>(sums[2u * channel + 1u]) + x_normal * sums[2u * channel]; }
    d = held(d * (weight[channel] * moments[2u * channel + 1u]), live);
    if ADDS {
        d_x[i] += d;
    } else {
        d_x[i] = d;
    }
}
