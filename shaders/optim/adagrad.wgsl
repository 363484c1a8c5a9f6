// AdaGrad: s += g^2; w -= rate / (1 + (t - 1) lr_decay) * g / (sqrt(s) + eps).
// Duchi, Hazan & Singer, 2011, in the form of PyTorch; weight decay is added to the gradient.
// weight, grad, squares: (len,). One invocation per four weights. `main` reads buffers;
// `by_texels` reads textures of the same tensors, which software adapters do several times as fast.
//#use common/grid
//#use common/step
//#use ops/texels
//#use optim/update

struct Args { quads: u32, mode: u32, lr_decay: f32, epsilon: f32, weight_decay: f32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(6) var<storage, read_write> squares: array<vec4<f32>>;
@group(0) @binding(12) var squares_texels: texture_storage_2d<rgba32float, read>;

fn update(i: u32, w: vec4<f32>, gradient: vec4<f32>, old: vec4<f32>) {
    let is_kept = kept(i, args.mode);
    let g = select(vec4<f32>(0.0), gradient + args.weight_decay * w, is_kept);
    let s = old + g * g;
    let rate = step.rate / (1.0 + f32(step.update - 1u) * args.lr_decay);
    squares[i] = hold(s, is_kept, args.mode);
    weight[i] = hold(w - rate * g / (sqrt(s) + args.epsilon), is_kept, args.mode);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let off = stopped();
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.quads) || off { return; }
    update(i, weight[i], grad[i], squares[i]);
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
           textureLoad(squares_texels, at));
}
