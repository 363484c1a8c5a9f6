// What weights are pruned by, where magnitude is not it.
// `saliency`: score = |weight * grad|: SNIP (Lee et al., 2019). `more_saliency` adds that of another batch.
// `probe`: result = base + sign * scale * grad, on the way to a Hessian product by finite differences.
// `flow`: score orders by base * (after - grad): the larger that is, the more gradient flow a weight keeps up: GraSP
// (Wang et al., 2020). Selections look at magnitudes alone: the sign is folded into a number that orders alike.
// All: (len,). One invocation an element.
//#use common/grid
const WG = 64u;

struct Args { len: u32, sign: f32 }
struct Reach { scale: f32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> base: array<f32>;
@group(0) @binding(3) var<storage, read> grad: array<f32>;
@group(0) @binding(4) var<storage, read> after: array<f32>;
@group(0) @binding(5) var<storage, read_write> result: array<f32>;
@group(0) @binding(6) var<uniform> reach: Reach;

@compute @workgroup_size(WG)
fn saliency(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
            @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.len) { return; }
    result[i] = abs(base[i] * grad[i]);
}

@compute @workgroup_size(WG)
fn more_saliency(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                 @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.len) { return; }
    result[i] += abs(base[i] * grad[i]);
}

@compute @workgroup_size(WG)
fn probe(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.len) { return; }
    result[i] = base[i] + args.sign * reach.scale * grad[i];
}

@compute @workgroup_size(WG)
fn flow(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.len) { return; }
    let bits = bitcast<u32>(base[i] * (after[i] - grad[i]));
    let ordered = select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);
    result[i] = bitcast<f32>(ordered >> 1u);
}
