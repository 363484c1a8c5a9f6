// SGD with momentum: g = grad + decay * w; v = momentum * v + g; w -= rate * v.
// Nesterov: w -= rate * (g + momentum * v).   Sutskever et al., 2013, in the form of PyTorch.
// weight, grad, velocity: (len,). One invocation per four weights. `main` reads buffers;
// `by_texels` reads textures of the same tensors, which software adapters do several times as fast.
//#use common/grid
//#use common/step
//#use ops/texels
//#use optim/update

struct Args { quads: u32, mode: u32, momentum: f32, weight_decay: f32, nesterov: u32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(6) var<storage, read_write> velocity: array<vec4<f32>>;
@group(0) @binding(12) var velocity_texels: texture_storage_2d<rgba32float, read>;

fn update(i: u32, w: vec4<f32>, gradient: vec4<f32>, old: vec4<f32>) {
    let is_kept = kept(i, args.mode);
    let g = select(vec4<f32>(0.0), gradient + args.weight_decay * w, is_kept);
    let v = args.momentum * old + g;
    let direction = select(v, g + args.momentum * v, args.nesterov != 0u);
    velocity[i] = hold(v, is_kept, args.mode);
    weight[i] = hold(w - step.rate * direction, is_kept, args.mode);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let off = stopped();
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.quads) || off { return; }
    update(i, weight[i], grad[i], velocity[i]);
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
           textureLoad(velocity_texels, at));
}
