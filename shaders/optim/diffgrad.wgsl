// diffGrad: Adam whose step shrinks where the gradient hardly changes:
// w -= rate * sqrt(c2) / c1 * friction(previous - g) * m / (sqrt(v) + eps).   Dubey et al., 2020.
// weight, grad, first, second, previous: (len,). One invocation per four weights. `main` reads buffers;
// `by_texels` reads textures of the same tensors, which software adapters do several times as fast. `by_spread` and
// `by_texels_and_spread` are for the versions that also read mean and deviation of |gradient| over the whole tensor.
//#use common/grid
//#use common/step
//#use ops/texels
//#use optim/update

struct Args {
    quads: u32, mode: u32,
    beta1: f32, beta2: f32, epsilon: f32, weight_decay: f32,
    version: u32, bug: u32,
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(6) var<storage, read_write> first: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> second: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> previous: array<vec4<f32>>;
@group(0) @binding(9) var<storage, read> spread: array<f32>; // mean, deviation
@group(0) @binding(12) var first_texels: texture_storage_2d<rgba32float, read>;
@group(0) @binding(13) var second_texels: texture_storage_2d<rgba32float, read>;

// 1 / (1 + exp(-x)). Beyond 80 exp leaves the range of f32, where a device may return anything.
fn sigmoid(x: vec4<f32>) -> vec4<f32> {
    return 1.0 / (1.0 + exp(-clamp(x, vec4<f32>(-80.0), vec4<f32>(80.0))));
}

struct Spread { mean: f32, deviation: f32 }

fn friction(change: vec4<f32>, size: Spread) -> vec4<f32> {
    switch args.version {
        case 1u: { return sigmoid(change); }                        // in (0, 1)
        case 2u: { return 9.0 * sigmoid(0.5 * abs(change)) - 4.0; } // in [.5, 5)
        case 3u: { return sigmoid(size.deviation * abs(change) - size.mean); } // this and the next ones in (0, 1)
        case 4u: { return sigmoid(size.deviation * size.deviation * abs(change) - size.mean); }
        case 5u: { return sigmoid(sqrt(size.deviation) * abs(change) - size.mean); }
        default: { return sigmoid(abs(change)); }                   // in [.5, 1)
    }
}

fn update(i: u32, w: vec4<f32>, gradient: vec4<f32>, old_m: vec4<f32>, old_v: vec4<f32>, old_g: vec4<f32>,
          size: Spread) {
    let is_kept = kept(i, args.mode);
    let g = select(vec4<f32>(0.0), gradient + args.weight_decay * w, is_kept);
    let m = args.beta1 * old_m + (1.0 - args.beta1) * g;
    let v = args.beta2 * old_v + (1.0 - args.beta2) * g * g;
    // The bug: what was kept of the last gradient is this one.
    let change = select(old_g - g, vec4<f32>(0.0), args.bug != 0u && step.update > 1u);
    let rate = step.rate * sqrt(step.correction2) / step.correction1;
    first[i] = hold(m, is_kept, args.mode);
    second[i] = hold(v, is_kept, args.mode);
    previous[i] = hold(g, is_kept, args.mode);
    weight[i] = hold(w - rate * friction(change, size) * m / (sqrt(v) + args.epsilon), is_kept, args.mode);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let off = stopped();
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.quads) || off { return; }
    update(i, weight[i], grad[i], first[i], second[i], previous[i], Spread());
}

@compute @workgroup_size(WG)
fn by_spread(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
             @builtin(local_invocation_index) lane: u32) {
    let off = stopped();
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.quads) || off { return; }
    update(i, weight[i], grad[i], first[i], second[i], previous[i], Spread(spread[0], spread[1]));
}

@compute @workgroup_size(WG)
fn by_texels(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
             @builtin(local_invocation_index) lane: u32) {
    let off = stopped();
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.quads) || off { return; }
    let at = texel(i);
    update(i, textureLoad(weight_texels, at), textureLoad(grad_texels, at),
           textureLoad(first_texels, at), textureLoad(second_texels, at), previous[i], Spread());
}

@compute @workgroup_size(WG)
fn by_texels_and_spread(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                        @builtin(local_invocation_index) lane: u32) {
    let off = stopped();
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.quads) || off { return; }
    let at = texel(i);
    update(i, textureLoad(weight_texels, at), textureLoad(grad_texels, at), textureLoad(first_texels, at),
           textureLoad(second_texels, at), previous[i], Spread(spread[0], spread[1]));
}
