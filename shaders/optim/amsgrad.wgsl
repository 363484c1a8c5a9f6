// AMSGrad: Adam with the largest v so far: l = max(l, v); w -= rate * (m / c1) / (sqrt(l / c2) + eps).
// The largest of the uncorrected v, as in PyTorch.   Reddi, Kale & Kumar, 2018.
// weight, grad, first, second, largest: (len,). One invocation per four weights.
//#use optim/update

struct Args { quads: u32, mode: u32, beta1: f32, beta2: f32, epsilon: f32, weight_decay: f32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(6) var<storage, read_write> first: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> second: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> largest: array<vec4<f32>>;

fn update(i: u32, w: vec4<f32>, g: vec4<f32>, is_kept: vec4<bool>) -> vec4<f32> {
    let m = args.beta1 * slot_0(i, first[i]) + (1.0 - args.beta1) * g;
    let v = args.beta2 * slot_1(i, second[i]) + (1.0 - args.beta2) * g * g;
    let l = max(largest[i], v);
    let move_by = (m / step.correction1) / (sqrt(l / step.correction2) + args.epsilon);
    first[i] = hold(m, is_kept);
    second[i] = hold(v, is_kept);
    largest[i] = hold(l, is_kept);
    return w - step.rate * move_by;
}
