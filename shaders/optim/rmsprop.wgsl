// RMSProp: v = alpha v + (1 - alpha) g^2; w -= rate * g / (sqrt(v) + eps).
// Tieleman & Hinton, 2012, in the form of PyTorch; weight decay is added to the gradient.
// weight, grad, second: (len,). One invocation per four weights.
//#use optim/update

struct Args { quads: u32, mode: u32, alpha: f32, epsilon: f32, weight_decay: f32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(6) var<storage, read_write> second: array<vec4<f32>>;

fn update(i: u32, w: vec4<f32>, g: vec4<f32>, is_kept: vec4<bool>) -> vec4<f32> {
    let v = args.alpha * slot_0(i, second[i]) + (1.0 - args.alpha) * g * g;
    second[i] = hold(v, is_kept);
    return w - step.rate * g / (sqrt(v) + args.epsilon);
}
