// A target of which the teacher's answer is one half, and the smoothed label the other.   Cai et al., 2020, Section 3.3.
// By it, twice the cross-entropy is that to the teacher's softmax plus that to the label.
// soft = (softmax(logits) + (1 - smoothing) one-hot + smoothing / classes) / 2.
// logits, soft: (classes, cols). label: (cols,). One invocation per column; those without a sample get zeros.
//#use common/grid
//#use common/softmax
//#use common/step
const WG = 64u;

struct Args { classes: u32, cols: u32, smoothing: f32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> logits: array<f32>;
@group(0) @binding(3) var<storage, read> label: array<u32>;
@group(0) @binding(4) var<storage, read_write> soft: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let col = group * WG + lane;
    if !(group < grid.end && col < args.cols) { return; }
    if !(col < step.live) {
        for (var k = 0u; k < args.classes; k++) { soft[k * args.cols + col] = 0.0; }
        return;
    }
    let softmax = softmax_of(col);
    for (var k = 0u; k < args.classes; k++) {
        let i = k * args.cols + col;
        let one_hot = select(0.0, 1.0 - args.smoothing, k == label[col]);
        soft[i] = (exp(logits[i] - softmax.x) / softmax.y + one_hot + args.smoothing / f32(args.classes)) / 2.0;
    }
}
