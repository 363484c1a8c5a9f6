// AMSGrad: Adam with the largest v so far: l = max(l, v); w -= rate * (m / c1) / (sqrt(l / c2) + eps).
// The largest of the uncorrected v, as in PyTorch.   Reddi, Kale & Kumar, 2018.
// weight, grad, first, second, largest: (len,). One invocation per four weights. `main` reads buffers;
// `by_texels` reads textures of the same tensors, which software adapters do several times as fast.
//#use common/grid
//#use common/step
//#use ops/texels
//#use optim/update

struct Args { quads: u32, mode: u32, beta1: f32, beta2: f32, epsilon: f32, weight_decay: f32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(6) var<storage, read_write> first: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> second: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> largest: array<vec4<f32>>;
@group(0) @binding(12) var first_texels: texture_storage_2d<rgba32float, read>;
@group(0) @binding(13) var second_texels: texture_storage_2d<rgba32float, read>;

fn update(i: u32, w: vec4<f32>, gradient: vec4<f32>, old_m: vec4<f32>, old_v: vec4<f32>, old_l: vec4<f32>) {
    let is_kept = kept(i, args.mode);
    let g = select(vec4<f32>(0.0), gradient + args.weight_decay * w, is_kept);
    let m = args.beta1 * old_m + (1.0 - args.beta1) * g;
    let v = args.beta2 * old_v + (1.0 - args.beta2) * g * g;
    let l = max(old_l, v);
    let move_by = (m / step.correction1) / (sqrt(l / step.correction2) + args.epsilon);
    first[i] = hold(m, is_kept, args.mode);
    second[i] = hold(v, is_kept, args.mode);
    largest[i] = hold(l, is_kept, args.mode);
    weight[i] = hold(w - step.rate * move_by, is_kept, args.mode);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let off = stopped();
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.quads) || off { return; }
    update(i, weight[i], grad[i], first[i], second[i], largest[i]);
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
           textureLoad(first_texels, at), textureLoad(second_texels, at), largest[i]);
}
