// PS-KD: a target of label and past prediction, which the present one then replaces.   Kim et al., 2021.
// soft = (1 - alpha) one-hot + alpha past[sample];  past[sample] = softmax(logits).
// logits, soft: (classes, cols). label: (cols,). order: (samples,). past: (samples, classes).
// One invocation per column. It reads each entry before it overwrites it; no sample comes twice in an epoch.
//#use common/grid
//#use common/softmax
//#use common/step
const WG = 64u;

struct Args { classes: u32, cols: u32, samples: u32 }
struct Share { alpha: f32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> logits: array<f32>;
@group(0) @binding(3) var<storage, read> label: array<u32>;
@group(0) @binding(4) var<storage, read> order: array<u32>;
@group(0) @binding(5) var<storage, read_write> past: array<f32>;
@group(0) @binding(6) var<storage, read_write> soft: array<f32>;
@group(0) @binding(7) var<uniform> share: Share;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let col = group * WG + lane;
    if !(group < grid.end && col < args.cols) { return; }
    let sample = order[min(step.first + col, args.samples - 1u)];
    if !(col < step.live && sample < args.samples) {
        for (var k = 0u; k < args.classes; k++) { soft[k * args.cols + col] = 0.0; }
        return;
    }
    let softmax = softmax_of(col);
    for (var k = 0u; k < args.classes; k++) {
        let i = k * args.cols + col;
        let row = sample * args.classes + k;
        let one_hot = select(0.0, 1.0, k == label[col]);
        soft[i] = (1.0 - share.alpha) * one_hot + share.alpha * past[row];
        past[row] = exp(logits[i] - softmax.x) / softmax.y;
    }
}
