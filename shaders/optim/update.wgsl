// What every optimizer shares: one invocation updates four weights, unless a loss was not finite. The optimizer brings
// `Args`, its slots (bindings 6, 7 and 8) and `update`, which stores the slots and returns the weights; `grad_at`,
// `weight_at`, `slot_0` and `slot_1` come from `by_buffers` or `by_texels`.
//#use common/grid
//#use common/step
//#use optim/weights
@group(0) @binding(4) var<storage, read> totals: array<u32>;

// The flag that stops all updates.
fn stopped() -> bool {
    return totals[4] != 0u;
}

// What is stored: 0 for the pruned weights of a held mask.
fn hold(value: vec4<f32>, is_kept: vec4<bool>) -> vec4<f32> {
    if args.mode == HELD { return select(vec4<f32>(0.0), value, is_kept); }
    return value;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let off = stopped();
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.quads) || off { return; }
    let w = weight_at(i);
    let is_kept = kept(i, args.mode);
    let g = select(vec4<f32>(0.0), grad_at(i) + args.weight_decay * w, is_kept);
    weight[i] = hold(update(i, w, g, is_kept), is_kept);
}
