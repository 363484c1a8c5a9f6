// mean = decay * mean + share * grad: what gradients have been, also where weights are pruned.
// mean, grad: (len,). One invocation per four elements.
//#use common/grid
const WG = 64u;

struct Args { quads: u32, decay: f32, share: f32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> grad: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> mean: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.quads) { return; }
    // What nothing is left of need not be a number.
    let before = select(args.decay * mean[i], vec4<f32>(), args.decay == 0.0);
    mean[i] = before + args.share * grad[i];
}
