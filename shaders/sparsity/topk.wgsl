// Exact top-k of |score| over one or many tensors by radix select; ties go to the lower index.
// The bits of |x| order as u32 (NaN sorts above infinity and is counted, so that it can be refused).
// A score of EXCLUDED takes no part. Three rounds find the k-th largest key: 11, 11 and 9 bits. Then ties are numbered in
// order of index, and the mask is written one word per invocation. Integer atomics only: the same on every device.
// score: (len,). histogram: (2048,). tie_counts: one per block of 8,192 elements. counts: four a tensor.
//#use common/grid
//#use sparsity/sum_before
const WG = 256u;
const BINS = 2048u;
const EACH = 64u;        // elements per invocation of `count`
const BLOCK = 8192u;     // elements per workgroup of `ties` and `mark`: 32 per invocation
const KEPT = 0u;
const GROWN = 1u;
const DROPPED = 2u;
const NANS = 3u;
const INFINITY = 0x7f800000u;
const EXCLUDED = 0x7f7fffffu; // the largest finite number

struct Args {
    len: u32,
    shift: u32,       // `count`, `pick`: the lowest bit of this round
    bits: u32,        // and how many
    first_block: u32, // this tensor's first entry in tie_counts
    blocks: u32,      // `scan`: entries in all
    tensor: u32,      // which four of `counts`
}
struct Budget { keep: u32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<uniform> budget: Budget;
@group(0) @binding(3) var<storage, read> score: array<f32>;
@group(0) @binding(4) var<storage, read_write> histogram: array<atomic<u32>>;
@group(0) @binding(5) var<storage, read_write> chosen: array<u32>; // the key so far; how many to take at it
@group(0) @binding(6) var<storage, read_write> tie_counts: array<u32>;
@group(0) @binding(7) var<storage, read_write> mask: array<u32>;
@group(0) @binding(8) var<storage, read_write> counts: array<atomic<u32>>;

var<workgroup> bins: array<atomic<u32>, BINS>;
var<workgroup> changes: array<atomic<u32>, 4>;

fn key(i: u32) -> u32 {
    return bitcast<u32>(score[i]) & 0x7fffffffu;
}

// One workgroup. Forgets the last selection.
@compute @workgroup_size(WG)
fn begin(@builtin(local_invocation_index) lane: u32) {
    for (var b = lane; b < BINS; b += WG) { atomicStore(&histogram[b], 0u); }
    for (var c = lane; c < args.len; c += WG) { atomicStore(&counts[c], 0u); }
    if lane == 0u {
        chosen[0] = 0u;
        chosen[1] = budget.keep;
    }
}

// Counts, by the bits of this round, the keys that agree with the key so far.
@compute @workgroup_size(WG)
fn count(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    for (var b = lane; b < BINS; b += WG) { atomicStore(&bins[b], 0u); }
    if lane == 0u { atomicStore(&changes[NANS], 0u); }
    workgroupBarrier();
    let prefix = chosen[0];
    let above = args.shift + args.bits;
    let low = (1u << args.bits) - 1u;
    for (var j = 0u; j < EACH; j++) {
        let i = (group * EACH + j) * WG + lane;
        if i < args.len {
            let k = key(i);
            if (k >> above) == prefix && k != EXCLUDED { atomicAdd(&bins[(k >> args.shift) & low], 1u); }
            if above == 31u && k > INFINITY { atomicAdd(&changes[NANS], 1u); }
        }
    }
    workgroupBarrier();
    for (var b = lane; b < BINS; b += WG) {
        let n = atomicLoad(&bins[b]);
        if n != 0u { atomicAdd(&histogram[b], n); }
    }
    if lane == 0u { atomicAdd(&counts[args.tensor * 4u + NANS], atomicLoad(&changes[NANS])); }
}

// One workgroup. Finds the bin that holds the k-th largest key and clears the histogram.
@compute @workgroup_size(WG)
fn pick(@builtin(local_invocation_index) lane: u32) {
    const OWN = BINS / WG;
    var own = 0u;
    for (var b = 0u; b < OWN; b++) { own += atomicLoad(&histogram[lane * OWN + b]); }
    sums[lane] = own;
    let wanted = chosen[1];
    let prefix = chosen[0];
    storageBarrier(); // everybody has read `chosen` before somebody writes it
    workgroupBarrier();
    let up_to_here = sum_before(lane) + own;
    var above = 0u;
    for (var r = 0u; r < ROW; r++) { above += rows[r]; }
    above -= up_to_here;
    if above < wanted && wanted <= above + own {
        var bin = lane * OWN + OWN - 1u;
        var n = atomicLoad(&histogram[bin]);
        while above + n < wanted {
            above += n;
            bin -= 1u;
            n = atomicLoad(&histogram[bin]);
        }
        chosen[0] = (prefix << args.bits) | bin;
        chosen[1] = wanted - above;
    }
    for (var b = 0u; b < OWN; b++) { atomicStore(&histogram[lane * OWN + b], 0u); }
}

fn ties_of_word(first: u32) -> u32 {
    var n = 0u;
    for (var i = first; i < min(first + 32u, args.len); i++) {
        n += select(0u, 1u, key(i) == chosen[0]);
    }
    return n;
}

// The number of keys in each block that equal the k-th.
@compute @workgroup_size(WG)
fn ties(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    sums[lane] = ties_of_word(group * BLOCK + lane * 32u);
    workgroupBarrier();
    for (var half = WG / 2u; half > 0u; half /= 2u) {
        if lane < half { sums[lane] += sums[lane + half]; }
        workgroupBarrier();
    }
    if lane == 0u { tie_counts[args.first_block + group] = sums[0]; }
}

// One workgroup. Turns the counts of ties into the number of ties before each block.
@compute @workgroup_size(WG)
fn scan(@builtin(local_invocation_index) lane: u32) {
    let own = (args.blocks + WG - 1u) / WG;
    var sum = 0u;
    for (var b = lane * own; b < min((lane + 1u) * own, args.blocks); b++) { sum += tie_counts[b]; }
    sums[lane] = sum;
    workgroupBarrier();
    var before = sum_before(lane);
    for (var b = lane * own; b < min((lane + 1u) * own, args.blocks); b++) {
        let n = tie_counts[b];
        tie_counts[b] = before;
        before += n;
    }
}

// Writes the mask and counts what it keeps, grows and drops.
@compute @workgroup_size(WG)
fn mark(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let first = group * BLOCK + lane * 32u;
    sums[lane] = ties_of_word(first);
    if lane < 4u { atomicStore(&changes[lane], 0u); }
    workgroupBarrier();
    var rank = tie_counts[args.first_block + group] + sum_before(lane);
    let threshold = chosen[0];
    let take = chosen[1];
    var bits = 0u;
    for (var j = 0u; j < 32u; j++) {
        let i = first + j;
        if i < args.len && budget.keep != 0u {
            let k = key(i);
            let is_tie = k == threshold;
            if (k > threshold && k != EXCLUDED) || (is_tie && rank < take) { bits |= 1u << j; }
            rank += select(0u, 1u, is_tie);
        }
    }
    if first < args.len {
        let old = mask[first / 32u];
        mask[first / 32u] = bits;
        atomicAdd(&changes[KEPT], countOneBits(bits));
        atomicAdd(&changes[GROWN], countOneBits(bits & ~old));
        atomicAdd(&changes[DROPPED], countOneBits(old & ~bits));
    }
    workgroupBarrier();
    if lane < 3u { atomicAdd(&counts[args.tensor * 4u + lane], atomicLoad(&changes[lane])); }
}
