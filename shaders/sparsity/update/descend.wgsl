// The threshold's own step: s -= rate * (d_s + decay * s), with d_s = -sigmoid'(s) * sum(partial).
// STR, Kusupati et al., 2020, equation 7. partial: (count,). threshold: (1,), s. Nothing moves once totals[4] is set:
// a loss was not finite. One workgroup; the sum is a fixed tree.
//#use common/step
//#use common/tree
//#use sparsity/update/sigmoid
const WG = 256u;

struct Args { count: u32, decay: f32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> partial: array<f32>;
@group(0) @binding(3) var<storage, read> totals: array<u32>;
@group(0) @binding(4) var<storage, read_write> threshold: array<f32>;

alias Summed = f32;

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    for (var i = lane; i < args.count; i += WG) { sum += partial[i]; }
    let all = tree(lane, sum);
    if lane == 0u && totals[4] == 0u {
        let s = threshold[0];
        let slope = sigmoid(s) * (1.0 - sigmoid(s));
        threshold[0] = s - step.rate * (args.decay * s - slope * all);
    }
}
