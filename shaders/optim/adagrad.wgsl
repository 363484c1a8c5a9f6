// AdaGrad: s += g^2; w -= rate / (1 + (t - 1) lr_decay) * g / (sqrt(s) + eps).
// Duchi, Hazan & Singer, 2011, in the form of PyTorch; weight decay is added to the gradient.
// weight, grad, squares: (len,). One invocation per four weights.
//#use optim/update

struct Args { quads: u32, mode: u32, lr_decay: f32, epsilon: f32, weight_decay: f32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(6) var<storage, read_write> squares: array<vec4<f32>>;

fn update(i: u32, w: vec4<f32>, g: vec4<f32>, is_kept: vec4<bool>) -> vec4<f32> {
    let s = slot_0(i, squares[i]) + g * g;
    let rate = step.rate / (1.0 + f32(step.update - 1u) * args.lr_decay);
    squares[i] = hold(s, is_kept);
    return w - rate * g / (sqrt(s) + args.epsilon);
}
