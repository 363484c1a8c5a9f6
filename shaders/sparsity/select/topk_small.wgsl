// Exact top-k of |score| over one small tensor, as `topk` has it, in one workgroup and one dispatch.
// Three rounds of `topk`'s bits find the k-th largest key in a histogram of the workgroup's own; then ties are numbered in
// order of index, and the mask is written, a run of words per invocation.
// score: (len,). counts: four. chosen is left as `topk` leaves it, for a selection that follows.
//#use sparsity/select/sum_before
//#use sparsity/select/topk_part
const WG = 256u;
const ROUNDS = 3u;
const OWN = BINS / WG;

struct Args {
    len: u32,
    goes_on: u32, // what the last selection chose is among the scores of this one
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<uniform> budget: Budget;
@group(0) @binding(3) var<storage, read> score: array<f32>;
@group(0) @binding(4) var<storage, read_write> chosen: array<u32>;
@group(0) @binding(5) var<storage, read_write> mask: array<u32>;
@group(0) @binding(6) var<storage, read_write> counts: array<u32>;

var<workgroup> bins: array<atomic<u32>, BINS>;
var<workgroup> changes: array<atomic<u32>, 4>;
var<workgroup> known: array<u32, 4>; // `chosen` until it is written

fn key(i: u32) -> u32 {
    return bitcast<u32>(score[i]) & 0x7fffffffu;
}

// Counts the keys that agree with the key so far by `bits` bits from `shift` on.
fn count(lane: u32, shift: u32, bits: u32) {
    let prefix = known[KEY];
    let floor = known[FLOOR];
    var nans = 0u;
    for (var i = lane; i < args.len; i += WG) {
        let k = key(i);
        if (k >> (shift + bits)) == prefix && k >= floor && k != EXCLUDED {
            atomicAdd(&bins[(k >> shift) & ((1u << bits) - 1u)], 1u);
        }
        nans += select(0u, 1u, k > INFINITY);
    }
    if shift + bits == 31u { atomicAdd(&changes[NANS], nans); }
}

// Finds the bin that holds the k-th largest key and clears the histogram.
fn pick(lane: u32, shift: u32, bits: u32) {
    var own = 0u;
    for (var b = 0u; b < OWN; b++) { own += atomicLoad(&bins[lane * OWN + b]); }
    sums[lane] = own;
    let wanted = known[TAKE];
    let prefix = known[KEY];
    workgroupBarrier(); // everybody has read what is known before somebody writes it
    var above = total_above(lane, own);
    if above < wanted && wanted <= above + own {
        var bin = lane * OWN + OWN - 1u;
        var n = atomicLoad(&bins[bin]);
        while above + n < wanted {
            above += n;
            bin -= 1u;
            n = atomicLoad(&bins[bin]);
        }
        let all = wanted - above == n;
        known[KEY] = ((prefix << bits) | bin) << select(0u, shift, all);
        known[TAKE] = select(wanted - above, ALL, all);
        known[LEVEL] = select(shift, 0u, all);
    }
    for (var b = 0u; b < OWN; b++) { atomicStore(&bins[lane * OWN + b], 0u); }
}

fn total_above(lane: u32, own: u32) -> u32 {
    let up_to_here = sum_before(lane) + own;
    return total - up_to_here;
}

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) lane: u32) {
    for (var b = 0u; b < OWN; b++) { atomicStore(&bins[lane * OWN + b], 0u); }
    if lane < 4u { atomicStore(&changes[lane], 0u); }
    if lane == 0u {
        known[FLOOR] = select(0u, chosen[KEY], args.goes_on != 0u);
        known[KEY] = 0u;
        known[TAKE] = budget.keep;
        known[LEVEL] = 31u;
    }
    workgroupBarrier();
    for (var round = 0u; round < ROUNDS; round++) {
        let shift = select(select(0u, 9u, round == 1u), 20u, round == 0u);
        let bits = select(11u, 9u, round == 2u);
        // Where all of a bin are taken, no further round is due.
        if workgroupUniformLoad(&known[LEVEL]) == shift + bits {
            count(lane, shift, bits);
            workgroupBarrier();
            pick(lane, shift, bits);
        }
        workgroupBarrier();
    }
    let threshold = known[KEY];
    let take = known[TAKE];
    let each = (args.len + 32u * WG - 1u) / (32u * WG) * 32u;
    let first = lane * each;
    var ties = 0u;
    for (var i = first; i < min(first + each, args.len); i++) { ties += select(0u, 1u, key(i) == threshold); }
    sums[lane] = ties;
    workgroupBarrier();
    var rank = sum_before(lane);
    for (var word = first; word < min(first + each, args.len); word += 32u) {
        var bits = 0u;
        for (var j = 0u; j < 32u; j++) {
            let i = word + j;
            if i < args.len && budget.keep != 0u { bits |= kept(key(i), j, threshold, take, &rank); }
        }
        let old = mask[word / 32u];
        mask[word / 32u] = bits;
        atomicAdd(&changes[KEPT], countOneBits(bits));
        atomicAdd(&changes[GROWN], countOneBits(bits & ~old));
        atomicAdd(&changes[DROPPED], countOneBits(old & ~bits));
    }
    workgroupBarrier();
    if lane < 4u {
        counts[lane] = atomicLoad(&changes[lane]);
        chosen[lane] = known[lane];
    }
}
