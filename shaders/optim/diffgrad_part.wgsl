// diffGrad: Adam whose step shrinks where the gradient hardly changes:
// w -= rate * sqrt(c2) / c1 * friction(previous - g) * m / (sqrt(v) + eps).   Dubey et al., 2020.
// weight, grad, first, second, previous: (len,). One invocation per four weights. `diffgrad` and
// `diffgrad_spread` bring `friction`.
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

// 1 / (1 + exp(-x)). Beyond 80 exp leaves the range of f32, where a device may return anything.
fn sigmoid(x: vec4<f32>) -> vec4<f32> {
    return 1.0 / (1.0 + exp(-clamp(x, vec4<f32>(-80.0), vec4<f32>(80.0))));
}

fn update(i: u32, w: vec4<f32>, g: vec4<f32>, is_kept: vec4<bool>) -> vec4<f32> {
    let m = args.beta1 * slot_0(i, first[i]) + (1.0 - args.beta1) * g;
    let v = args.beta2 * slot_1(i, second[i]) + (1.0 - args.beta2) * g * g;
    // The bug: what was kept of the last gradient is this one.
    let change = select(previous[i] - g, vec4<f32>(0.0), args.bug != 0u && step.update > 1u);
    let rate = step.rate * sqrt(step.correction2) / step.correction1;
    first[i] = hold(m, is_kept);
    second[i] = hold(v, is_kept);
    previous[i] = hold(g, is_kept);
    return w - rate * friction(change) * m / (sqrt(v) + args.epsilon);
}
