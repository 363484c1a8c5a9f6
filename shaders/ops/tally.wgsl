// Adds a batch's losses and hits to running totals, by a fixed tree, and raises a flag that stays up
// when a loss is not finite. The test is on bits: fast-math may remove comparisons with NaN.
// loss: (cols,) f32. hit: (cols,). totals: see the struct of offsets below. One workgroup.
//#use common/step
const WG = 64u;
const LOSS = 0u;    // bits of the f32 sum of losses
const HITS = 1u;    // right answers
const ANSWERS = 2u; // labels that counted
const BATCHES = 3u;
const BROKEN = 4u;  // 1 + the first step whose loss was not finite, or 0

struct Args { cols: u32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> loss: array<f32>;
@group(0) @binding(3) var<storage, read> hit: array<u32>;
@group(0) @binding(4) var<storage, read_write> totals: array<u32>;

var<workgroup> losses: array<f32, WG>;
var<workgroup> hits: array<u32, WG>;
var<workgroup> broken: array<u32, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    var count = 0u;
    var bad = 0u;
    for (var c = lane; c < args.cols; c += WG) {
        let value = loss[c];
        bad |= select(0u, 1u, (bitcast<u32>(value) & 0x7f800000u) == 0x7f800000u);
        sum += value;
        count += hit[c];
    }
    losses[lane] = sum;
    hits[lane] = count;
    broken[lane] = bad;
    workgroupBarrier();
    for (var half = WG / 2u; half > 0u; half /= 2u) {
        if lane < half {
            losses[lane] += losses[lane + half];
            hits[lane] += hits[lane + half];
            broken[lane] |= broken[lane + half];
        }
        workgroupBarrier();
    }
    if lane == 0u {
        totals[LOSS] = bitcast<u32>(bitcast<f32>(totals[LOSS]) + losses[0]);
        totals[HITS] += hits[0];
        totals[ANSWERS] += step.answers;
        totals[BATCHES] += 1u;
        if broken[0] != 0u && totals[BROKEN] == 0u { totals[BROKEN] = step.step + 1u; }
    }
}
