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
// A part is WG lanes by ROUNDS rounds of EACH quads. One workgroup a part in `observe` and `observe_backward`, one a row in
// `gather` and `gather_backward`, one for WG lanes by ROUNDS quads of all rows in `normalise` and `differentiate`, one
// invocation a channel in `recall`.
// Left open: WG, ROUNDS; part by_*.
//#use common/divided
//#use common/grid
//#use common/step
//#use common/tree
//#use ops/rectify
alias Summed = vec2<f32>;
const EACH = 4u; // quads of a round, in registers
const NONE = 0xffffffffu; // no channel

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
    let col = (quad - divided(quad, args.batch_quads) * args.batch_quads) * 4u;
    let end = select(0u, step.live, quad < args.quads);
    return (vec4<u32>(col) + vec4<u32>(0u, 1u, 2u, 3u)) < vec4<u32>(end);
}

fn held(value: vec4<f32>, live: vec4<bool>) -> vec4<f32> {
    return select(vec4<f32>(0.0), value, live);
}

fn sum_of(value: vec4<f32>) -> f32 { return (value.x + value.y) + (value.z + value.w); }

fn x_of(channel: u32, quad: u32) -> vec4<f32> {
    return x_at(channel * args.quads + min(quad, args.quads - 1u));
}

// The first quad of a round of a part of a row.
fn quad_of(part: u32, round: u32, lane: u32) -> u32 {
    return (part * ROUNDS + round) * EACH * WG + lane;
}

// How many columns of a row count: all of them are a whole number in f32 up to 2^24.
fn counted() -> f32 { return max(f32(args.quads / args.batch_quads * step.live), 1.0); }

var<workgroup> all: array<vec3<f32>, WG>;

// Count, mean and squares of two sets together.   Chan, Golub & LeVeque, 1979.
fn joined(a: vec3<f32>, b: vec3<f32>) -> vec3<f32> {
    let n = a.x + b.x;
    let share = b.x / max(n, 1.0);
    let apart = b.y - a.y;
    return vec3<f32>(n, a.y + apart * share, a.z + b.z + apart * apart * (a.x * share));
}

// Those of all invocations together, by a fixed tree. Everybody calls it; the result is everybody's.
fn joined_tree(lane: u32, own: vec3<f32>) -> vec3<f32> {
    all[lane] = own;
    workgroupBarrier();
    for (var half = WG / 2u; half > 0u; half /= 2u) {
        if lane < half { all[lane] = joined(all[lane], all[lane + half]); }
        workgroupBarrier();
    }
    return all[0];
}

// Count, mean and squares of a round of a lane, of how far x is above `base`.
fn observed(channel: u32, quad: u32, base: f32) -> vec3<f32> {
    let live_0 = live_of(quad);
    let live_1 = live_of(quad + WG);
    let live_2 = live_of(quad + 2u * WG);
    let live_3 = live_of(quad + 3u * WG);
    let x_0 = x_of(channel, quad) - base;
    let x_1 = x_of(channel, quad + WG) - base;
    let x_2 = x_of(channel, quad + 2u * WG) - base;
    let x_3 = x_of(channel, quad + 3u * WG) - base;
    let one = vec4<f32>(1.0);
    let sum = (held(x_0, live_0) + held(x_1, live_1)) + (held(x_2, live_2) + held(x_3, live_3));
    let count = sum_of((held(one, live_0) + held(one, live_1)) + (held(one, live_2) + held(one, live_3)));
    let mean = sum_of(sum) / max(count, 1.0);
    let off_0 = held(x_0 - mean, live_0);
    let off_1 = held(x_1 - mean, live_1);
    let off_2 = held(x_2 - mean, live_2);
    let off_3 = held(x_3 - mean, live_3);
    return vec3<f32>(count, mean, sum_of((off_0 * off_0 + off_1 * off_1) + (off_2 * off_2 + off_3 * off_3)));
}

@compute @workgroup_size(WG)
fn observe(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let channel = group / args.parts;
    let base = x_of(channel, 0u).x;
    var own = observed(channel, quad_of(group % args.parts, 0u, lane), base);
    for (var round = 1u; round < ROUNDS; round++) {
        own = joined(own, observed(channel, quad_of(group % args.parts, round, lane), base));
    }
    let whole = joined_tree(lane, own);
    if lane == 0u { new_parts[group] = vec4<f32>(whole.x, base + whole.y, whole.z, 0.0); }
}

@compute @workgroup_size(WG)
fn gather(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
          @builtin(local_invocation_index) lane: u32) {
    let channel = group_index(id, groups);
    if !(channel < grid.end) { return; }
    var own = vec3<f32>(0.0);
    for (var part = lane; part < args.parts; part += WG) { own = joined(own, parts[channel * args.parts + part].xyz); }
    let whole = joined_tree(lane, own);
    if lane == 0u {
        let n = whole.x;
        new_moments[2u * channel] = whole.y;
        new_moments[2u * channel + 1u] = 1.0 / sqrt(whole.z / max(n, 1.0) + args.epsilon);
        batch_mean[channel] = whole.y;
        batch_variance[channel] = whole.z / max(n - 1.0, 1.0);
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

// What all values of a channel share.
struct Row { mean: f32, scale: f32, weight: f32, bias: f32 }

fn row_of(channel: u32) -> Row {
    return Row(moments[2u * channel], moments[2u * channel + 1u], weight[channel], bias[channel]);
}

fn normal(row: Row, value: vec4<f32>) -> vec4<f32> { return (value - row.mean) * row.scale; }

@compute @workgroup_size(WG)
fn normalise(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
             @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    var channel = NONE;
    var row: Row;
    for (var round = 0u; round < ROUNDS; round++) {
        let i = (group * ROUNDS + round) * WG + lane;
        if i < args.channels * args.quads {
            let own = divided(i, args.quads);
            if own != channel { row = row_of(own); }
            channel = own;
            let value = normal(row, x_at(i)) * row.weight + row.bias;
            y[i] = select(value, rectified_quad(value), vec4<bool>(RELU));
        }
    }
}

// The gradient of the normalised value before ReLU.
fn d_of(row: Row, normal: vec4<f32>, d: vec4<f32>, live: vec4<bool>) -> vec4<f32> {
    let open = (normal * row.weight + row.bias) > vec4<f32>(0.0);
    return held(d, live & (open | vec4<bool>(!RELU)));
}

@compute @workgroup_size(WG)
fn observe_backward(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                    @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let channel = group / args.parts;
    let row = row_of(channel);
    var own = vec2<f32>(0.0);
    for (var j = 0u; j < ROUNDS * EACH; j++) {
        let quad = quad_of(group % args.parts, 0u, lane) + j * WG;
        if quad < args.quads {
            let x_normal = normal(row, x_of(channel, quad));
            let live = live_of(quad);
            let d = d_of(row, x_normal, d_y_at(channel * args.quads + quad), live);
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
    if !(group < grid.end) { return; }
    var channel = NONE;
    var row: Row;
    var by_normal = 0.0;
    var by_plain = 0.0;
    for (var round = 0u; round < ROUNDS; round++) {
        let i = (group * ROUNDS + round) * WG + lane;
        if i < args.channels * args.quads {
            let own = divided(i, args.quads);
            if own != channel {
                row = row_of(own);
                if args.fixed == 0u {
                    by_normal = sums[2u * own];
                    by_plain = sums[2u * own + 1u];
                }
            }
            channel = own;
            let live = live_of(i - own * args.quads);
            let x_normal = normal(row, x_at(i));
            var d = d_of(row, x_normal, d_y_at(i), live);
            if args.fixed == 0u { d -= vec4<f32>(by_plain) + x_normal * by_normal; }
            d = held(d * (row.weight * row.scale), live);
            if ADDS {
                d_x[i] += d;
            } else {
                d_x[i] = d;
            }
        }
    }
}
