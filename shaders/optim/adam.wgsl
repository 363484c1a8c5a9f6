// Adam: m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; w -= rate * (m / c1) / (sqrt(v / c2) + eps).
// c1 = 1 - b1^t, c2 = 1 - b2^t; weight decay is added to the gradient.   Kingma & Ba, 2015.
// weight, grad, first, second: (len,). One invocation per four weights.
//#use common/grid
//#use common/step
//#use optim/update

struct Args { quads: u32, flow: u32, beta1: f32, beta2: f32, epsilon: f32, weight_decay: f32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(6) var<storage, read_write> first: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> second: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.quads) || stopped() { return; }
    let is_kept = kept(i, args.flow);
    let w = weight[i];
    let g = select(vec4<f32>(0.0), grad[i] + args.weight_decay * w, is_kept);
    let m = args.beta1 * first[i] + (1.0 - args.beta1) * g;
    let v = args.beta2 * second[i] + (1.0 - args.beta2) * g * g;
    let move_by = (m / step.correction1) / (sqrt(v / step.correction2) + args.epsilon);
    first[i] = hold(m, is_kept, args.flow);
    second[i] = hold(v, is_kept, args.flow);
    weight[i] = hold(w - step.rate * move_by, is_kept, args.flow);
}
