// Layer normalisation: y = (x - mean) / deviation * weight + bias, over the channels of each column (Ba, Kiros & Hinton, 2016);
// if RMS, y = x / root mean square * weight (Zhang & Sennrich, 2019), which is the same with a mean of 0 and no bias.
//   normalise:       y, and mean and 1 / deviation of each column.
//   differentiate:   d_x = (g - mean of g - x' mean of g x') / deviation (+= if ADDS), with g = d_y weight and
//                    x' = (x - mean) / deviation; without the mean of g if RMS.
//   observe, gather: d_weight = sum of d_y x' over the columns, d_bias = sum of d_y.
// x, y, d_y, d_x: (channels, cols). weight, bias, d_weight, d_bias: (channels,). moments: (2, cols). parts: (channels, parts, 2).
// `normalise` and `differentiate`: a workgroup for QUADS quads of columns, whose channels LANES invocations share, so that
// neighbours read neighbours; `observe`: one a part of a row, `gather`: one a row.
// Left open: WG, ROUNDS; part by_*.
//#use common/grid
//#use common/tree
//#use common/quad_tree
alias Summed = vec2<f32>;
const QUADS = 8u;
const LANES = WG / QUADS;
const EACH = 4u; // quads of an invocation and round of `observe`

override RMS = false;
override ADDS = false;

struct Args {
    channels: u32,
    quads: u32, // of a row
    parts: u32, // of a row
    epsilon: f32,
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(4) var<storage, read> weight: array<f32>;
@group(0) @binding(5) var<storage, read> bias: array<f32>;
@group(0) @binding(7) var<storage, read> parts: array<f32>;
@group(0) @binding(8) var<storage, read_write> new_moments: array<vec4<f32>>;
@group(0) @binding(9) var<storage, read_write> new_parts: array<f32>;
@group(0) @binding(10) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(11) var<storage, read_write> d_x: array<vec4<f32>>;
@group(0) @binding(12) var<storage, read_write> d_weight: array<f32>;
@group(0) @binding(13) var<storage, read_write> d_bias: array<f32>;

@compute @workgroup_size(WG)
fn normalise(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
             @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let quad = group * QUADS + lane % QUADS;
    let at = min(quad, args.quads - 1u);
    let first = lane / QUADS;
    let n = f32(args.channels);
    var center = vec4<f32>(0.0);
    if !RMS {
        // Sums of how far x is above the first channel are as large as its distance from the mean, not as the mean.
        let base = x_at(at);
        var sum = vec4<f32>(0.0);
        for (var channel = first; channel < args.channels; channel += LANES) {
            sum += x_at(channel * args.quads + at) - base;
        }
        center = base + total(lane, sum) / n;
        workgroupBarrier();
    }
    var squares = vec4<f32>(0.0);
    for (var channel = first; channel < args.channels; channel += LANES) {
        let off = x_at(channel * args.quads + at) - center;
        squares += off * off;
    }
    let scale = 1.0 / sqrt(total(lane, squares) / n + args.epsilon);
    if quad >= args.quads { return; }
    if first == 0u {
        new_moments[quad] = center;
        new_moments[args.quads + quad] = scale;
    }
    for (var channel = first; channel < args.channels; channel += LANES) {
        let i = channel * args.quads + quad;
        let value = (x_at(i) - center) * scale * weight[channel];
        if RMS {
            y[i] = value;
        } else {
            y[i] = value + bias[channel];
        }
    }
}

@compute @workgroup_size(WG)
fn differentiate(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                 @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let quad = group * QUADS + lane % QUADS;
    let at = min(quad, args.quads - 1u);
    let first = lane / QUADS;
    let n = f32(args.channels);
    let center = moments_at(at);
    let scale = moments_at(args.quads + at);
    var plain = vec4<f32>(0.0);
    var by_normal = vec4<f32>(0.0);
    for (var channel = first; channel < args.channels; channel += LANES) {
        let i = channel * args.quads + at;
        let g = d_y_at(i) * weight[channel];
        plain += g;
        by_normal += g * (x_at(i) - center);
    }
    by_normal = total(lane, by_normal) * scale / n;
    if RMS {
        plain = vec4<f32>(0.0);
    } else {
        workgroupBarrier();
        plain = total(lane, plain) / n;
    }
    if quad >= args.quads { return; }
    for (var channel = first; channel < args.channels; channel += LANES) {
        let i = channel * args.quads + quad;
        let d = (d_y_at(i) * weight[channel] - plain - (x_at(i) - center) * scale * by_normal) * scale;
        if ADDS {
            d_x[i] += d;
        } else {
            d_x[i] = d;
        }
    }
}

fn sum_of(value: vec4<f32>) -> f32 { return (value.x + value.y) + (value.z + value.w); }

@compute @workgroup_size(WG)
fn observe(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let row = group / args.parts * args.quads;
    var own = vec2<f32>(0.0);
    for (var j = 0u; j < ROUNDS * EACH; j++) {
        let quad = (group % args.parts * ROUNDS * EACH + j) * WG + lane;
        if quad < args.quads {
            let d = d_y_at(row + quad);
            let normal = (x_at(row + quad) - moments_at(quad)) * moments_at(args.quads + quad);
            own += vec2<f32>(sum_of(d * normal), sum_of(d));
        }
    }
    let whole = tree(lane, own);
    if lane == 0u {
        new_parts[2u * group] = whole.x;
        new_parts[2u * group + 1u] = whole.y;
    }
}

@compute @workgroup_size(WG)
fn gather(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
          @builtin(local_invocation_index) lane: u32) {
    let channel = group_index(id, groups);
    if !(channel < grid.end) { return; }
    var own = vec2<f32>(0.0);
    for (var part = lane; part < args.parts; part += WG) {
        let at = 2u * (channel * args.parts + part);
        own += vec2<f32>(parts[at], parts[at + 1u]);
    }
    let whole = tree(lane, own);
    if lane == 0u {
        d_weight[channel] = whole.x;
        if !RMS { d_bias[channel] = whole.y; }
    }
}
