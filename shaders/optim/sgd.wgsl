// SGD: v = momentum v + g; w -= rate v, or, with Nesterov's look-ahead, w -= rate (g + momentum v).
// Weight decay is added to the gradient.   Sutskever, Martens, Dahl & Hinton, 2013; PyTorch's form.
// weight, grad, velocity: (len,). One invocation per four weights.
//#use common/grid
//#use common/step
//#use optim/update

struct Args { quads: u32, flow: u32, momentum: f32, weight_decay: f32, nesterov: u32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(6) var<storage, read_write> velocity: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.quads) || stopped() { return; }
    let is_kept = kept(i, args.flow);
    let w = weight[i];
    let g = select(vec4<f32>(0.0), grad[i] + args.weight_decay * w, is_kept);
    let v = args.momentum * velocity[i] + g;
    let direction = select(v, g + args.momentum * v, args.nesterov != 0u);
    velocity[i] = hold(v, is_kept, args.flow);
    weight[i] = hold(w - step.rate * direction, is_kept, args.flow);
}
