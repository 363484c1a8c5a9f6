// SGD with momentum: g = grad + decay * w; v = momentum * v + g; w -= rate * v.
// Nesterov: w -= rate * (g + momentum * v).   Sutskever et al., 2013, in the form of PyTorch.
// weight, grad, velocity: (len,). One invocation per four weights.
//#use optim/update

struct Args { quads: u32, mode: u32, momentum: f32, weight_decay: f32, nesterov: u32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(6) var<storage, read_write> velocity: array<vec4<f32>>;

fn update(i: u32, w: vec4<f32>, g: vec4<f32>, is_kept: vec4<bool>) -> vec4<f32> {
    let v = args.momentum * slot_0(i, velocity[i]) + g;
    let direction = select(v, g + args.momentum * v, args.nesterov != 0u);
    velocity[i] = hold(v, is_kept);
    return w - step.rate * direction;
}
