// AdaDelta: v = rho v + (1 - rho) g^2; d = sqrt(u + eps) / sqrt(v + eps) * g; u = rho u + (1 - rho) d^2;
// w -= rate * d.   Zeiler, 2012, in the form of PyTorch; weight decay is added to the gradient.
// weight, grad, second, moves: (len,). One invocation per four weights.
//#use optim/update

struct Args { quads: u32, mode: u32, rho: f32, epsilon: f32, weight_decay: f32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(6) var<storage, read_write> second: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> moves: array<vec4<f32>>;

fn update(i: u32, w: vec4<f32>, g: vec4<f32>, is_kept: vec4<bool>) -> vec4<f32> {
    let old_u = slot_1(i, moves[i]);
    let v = args.rho * slot_0(i, second[i]) + (1.0 - args.rho) * g * g;
    let d = sqrt(old_u + args.epsilon) / sqrt(v + args.epsilon) * g;
    let u = args.rho * old_u + (1.0 - args.rho) * d * d;
    second[i] = hold(v, is_kept);
    moves[i] = hold(u, is_kept);
    return w - step.rate * d;
}
