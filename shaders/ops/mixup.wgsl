// Mixup: each sample of a batch and another one of it, mixed.   Zhang, Cisse, Dauphin & Lopez-Paz, 2018, Section 2.
// y = share x + (1 - share) x of the partner. x, y: (rows, cols). One invocation per number; columns without a sample are 0.
//#use common/grid
//#use common/step
//#use ops/partner
const WG = 64u;

struct Args { len: u32, cols: u32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.len) { return; }
    let col = i % args.cols;
    let other = x[i - col + partner(col)];
    y[i] = select(0.0, mix_of.share * x[i] + (1.0 - mix_of.share) * other, col < step.live);
}
