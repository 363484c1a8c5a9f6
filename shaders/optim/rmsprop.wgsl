// RMSProp: v = alpha v + (1 - alpha) g^2; w -= rate * g / (sqrt(v) + eps).
// Tieleman & Hinton, 2012, in the form of PyTorch; weight decay is added to the gradient.
// weight, grad, second: (len,). One invocation per four weights. `main` reads buffers;
// `by_texels` reads textures of the same tensors, which software adapters do several times as fast.
//#use common/grid
//#use common/step
//#use ops/texels
//#use optim/update

struct Args { quads: u32, mode: u32, alpha: f32, epsilon: f32, weight_decay: f32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(6) var<storage, read_write> second: array<vec4<f32>>;
@group(0) @binding(12) var second_texels: texture_storage_2d<rgba32float, read>;

fn update(i: u32, w: vec4<f32>, gradient: vec4<f32>, old: vec4<f32>) {
    let is_kept = kept(i, args.mode);
    let g = select(vec4<f32>(0.0), gradient + args.weight_decay * w, is_kept);
    let v = args.alpha * old + (1.0 - args.alpha) * g * g;
    second[i] = hold(v, is_kept, args.mode);
    weight[i] = hold(w - step.rate * g / (sqrt(v) + args.epsilon), is_kept, args.mode);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let off = stopped();
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.quads) || off { return; }
    update(i, weight[i], grad[i], second[i]);
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
           textureLoad(second_texels, at));
}
