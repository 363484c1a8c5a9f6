// Adam: m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; w -= rate * (m / c1) / (sqrt(v / c2) + eps),
// with c1 = 1 - b1^t, c2 = 1 - b2^t; weight decay is added to the gradient.   Kingma & Ba, 2015.
// AdamW: w shrinks by rate * shrink first; no decay in the gradient.   Loshchilov & Hutter, 2019.
// NAdam: m / c1 + lookahead * g in place of m / c1, with a c1 of its own.   Dozat, 2016.
// weight, grad, first, second: (len,). One invocation per four weights.
//#use optim/update

struct Args { quads: u32, mode: u32, beta1: f32, beta2: f32, epsilon: f32, weight_decay: f32, shrink: f32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(6) var<storage, read_write> first: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> second: array<vec4<f32>>;

fn update(i: u32, w: vec4<f32>, g: vec4<f32>, is_kept: vec4<bool>) -> vec4<f32> {
    let m = args.beta1 * slot_0(i, first[i]) + (1.0 - args.beta1) * g;
    let v = args.beta2 * slot_1(i, second[i]) + (1.0 - args.beta2) * g * g;
    let direction = m / step.correction1 + step.lookahead * g;
    let move_by = direction / (sqrt(v / step.correction2) + args.epsilon);
    let shrunk = select(w, w * (1.0 - step.rate * args.shrink), is_kept);
    first[i] = hold(m, is_kept);
    second[i] = hold(v, is_kept);
    return shrunk - step.rate * move_by;
}
