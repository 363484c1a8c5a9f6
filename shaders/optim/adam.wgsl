// Adam: m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; w -= rate * (m / c1) / (sqrt(v / c2) + eps),
// with c1 = 1 - b1^t, c2 = 1 - b2^t; weight decay is added to the gradient.   Kingma & Ba, 2015.
// AdamW: w shrinks by rate * shrink first; no decay in the gradient.   Loshchilov & Hutter, 2019.
// NAdam: m / c1 + lookahead * g in place of m / c1, with a c1 of its own.   Dozat, 2016.
// weight, grad, first, second: (len,). One invocation per four weights. `main` reads buffers;
// `by_texels` reads textures of the same tensors, which software adapters do several times as fast.
//#use common/grid
//#use common/step
//#use ops/texels
//#use optim/update

struct Args { quads: u32, mode: u32, beta1: f32, beta2: f32, epsilon: f32, weight_decay: f32, shrink: f32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(6) var<storage, read_write> first: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> second: array<vec4<f32>>;
@group(0) @binding(12) var first_texels: texture_storage_2d<rgba32float, read>;
@group(0) @binding(13) var second_texels: texture_storage_2d<rgba32float, read>;

fn update(i: u32, w: vec4<f32>, gradient: vec4<f32>, old_m: vec4<f32>, old_v: vec4<f32>) {
    let is_kept = kept(i, args.mode);
    let g = select(vec4<f32>(0.0), gradient + args.weight_decay * w, is_kept);
    let m = args.beta1 * old_m + (1.0 - args.beta1) * g;
    let v = args.beta2 * old_v + (1.0 - args.beta2) * g * g;
    let direction = m / step.correction1 + step.lookahead * g;
    let move_by = direction / (sqrt(v / step.correction2) + args.epsilon);
    let shrunk = select(w, w * (1.0 - step.rate * args.shrink), is_kept);
    first[i] = hold(m, is_kept, args.mode);
    second[i] = hold(v, is_kept, args.mode);
    weight[i] = hold(shrunk - step.rate * move_by, is_kept, args.mode);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let off = stopped();
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.quads) || off { return; }
    update(i, weight[i], grad[i], first[i], second[i]);
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
           textureLoad(first_texels, at), textureLoad(second_texels, at));
}
