// Exact top-k of |score| over one or many tensors by radix select; ties go to the lower index.
// The bits of |x| order as u32 (NaN sorts above infinity and is counted, so that it can be refused).
// A score of EXCLUDED takes no part. Three rounds find the k-th largest key: 11, 11 and 9 bits; where all keys of a bin are
// wanted no further round counts any. Then ties are numbered in order of index, unless all are taken, and the mask is written
// one word per invocation. Integer atomics only: the same on every device.
// `count`, `ties` and `mark` read buffers; `*_texels` read a texture of the same scores, which software adapters do many
// times as fast.
// score: (len,). histogram: (2048,). tie_counts: one per block of 8,192 elements. counts: four a tensor.
//#use common/grid
//#use common/tree
//#use ops/texels
//#use sparsity/select/sum_before
//#use sparsity/select/topk_part
alias Summed = u32;
const WG = 256u;
const EACH = 64u;         // elements per invocation of `count`
const EACH_TEXELS = 256u; // and of `count_texels`: where few run at once, fewer histograms of workgroups to add up
const BLOCK = 8192u;     // elements per workgroup of `ties` and `mark`: 32 per invocation
const NO_KEY = 0xffffffffu;   // agrees with no key

struct Args {
    len: u32,
    shift: u32,       // `count`, `pick`: the lowest bit of this round
    bits: u32,        // and how many
    first_block: u32, // this tensor's first entry in tie_counts
    blocks: u32,      // `scan`: entries in all
    tensor: u32,      // which four of `counts`
    goes_on: u32,     // `begin`: what the last selection chose is among the scores of this one
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<uniform> budget: Budget;
@group(0) @binding(3) var<storage, read> score: array<f32>;
@group(0) @binding(4) var<storage, read_write> histogram: array<atomic<u32>>;
@group(0) @binding(5) var<storage, read_write> chosen: array<u32>;
@group(0) @binding(6) var<storage, read_write> tie_counts: array<u32>;
@group(0) @binding(7) var<storage, read_write> mask: array<u32>;
@group(0) @binding(8) var<storage, read_write> counts: array<atomic<u32>>;
@group(0) @binding(9) var score_texels: texture_storage_2d<rgba32float, read>;

var<workgroup> bins: array<atomic<u32>, BINS>;
var<workgroup> changes: array<atomic<u32>, 4>;
var<workgroup> takes_all: bool;

fn key(i: u32) -> u32 {
    return bitcast<u32>(score[i]) & 0x7fffffffu;
}

// The keys of elements 4 i .. 4 i + 4, EXCLUDED past the end.
fn keys(i: u32) -> vec4<u32> {
    let all = bitcast<vec4<u32>>(textureLoad(score_texels, texel(i))) & vec4<u32>(0x7fffffffu);
    return select(vec4<u32>(EXCLUDED), all, vec4<u32>(4u * i) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(args.len));
}

// One workgroup. Forgets the last selection.
@compute @workgroup_size(WG)
fn begin(@builtin(local_invocation_index) lane: u32) {
    for (var b = lane; b < BINS; b += WG) { atomicStore(&histogram[b], 0u); }
    for (var c = lane; c < args.len; c += WG) { atomicStore(&counts[c], 0u); }
    if lane == 0u {
        // No key below the last k-th is the k-th of more scores.
        chosen[FLOOR] = select(0u, chosen[KEY], args.goes_on != 0u);
        chosen[KEY] = 0u;
        chosen[TAKE] = budget.keep;
        chosen[LEVEL] = 31u;
    }
}

// One invocation's part of `count`: adds a key that agrees with the key so far to its bin. Returns 1 for not a number.
fn count_key(k: u32, prefix: u32, floor: u32) -> u32 {
    if (k >> (args.shift + args.bits)) == prefix && k >= floor && k != EXCLUDED {
        atomicAdd(&bins[(k >> args.shift) & ((1u << args.bits) - 1u)], 1u);
    }
    return select(0u, 1u, k > INFINITY);
}

fn count_begin(lane: u32) {
    for (var b = lane; b < BINS; b += WG) { atomicStore(&bins[b], 0u); }
    if lane == 0u { atomicStore(&changes[NANS], 0u); }
}

// Adds what the workgroup has counted to what all have; those that are not numbers in the first round.
fn count_end(lane: u32, nans: u32) {
    if args.shift + args.bits == 31u { atomicAdd(&changes[NANS], nans); }
    workgroupBarrier();
    for (var b = lane; b < BINS; b += WG) {
        let n = atomicLoad(&bins[b]);
        if n != 0u { atomicAdd(&histogram[b], n); }
    }
    if lane == 0u { atomicAdd(&counts[args.tensor * 4u + NANS], atomicLoad(&changes[NANS])); }
}

// Whether this round is needed.
fn is_due() -> bool {
    return chosen[LEVEL] == args.shift + args.bits;
}

// Counts, by the bits of this round, the keys that agree with the key so far.
@compute @workgroup_size(WG)
fn count(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    count_begin(lane);
    workgroupBarrier();
    let prefix = select(NO_KEY, chosen[KEY], is_due()); // a loop left out by a branch would cost more than it saves
    let floor = chosen[FLOOR];
    var nans = 0u;
    for (var j = 0u; j < EACH; j++) {
        let i = (group * EACH + j) * WG + lane;
        if i < args.len { nans += count_key(key(i), prefix, floor); }
    }
    count_end(lane, nans);
}

@compute @workgroup_size(WG)
fn count_texels(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    count_begin(lane);
    workgroupBarrier();
    let prefix = select(NO_KEY, chosen[KEY], is_due()); // a loop left out by a branch would cost more than it saves
    let floor = chosen[FLOOR];
    var nans = 0u;
    for (var j = 0u; j < EACH_TEXELS / 4u; j++) {
        let quad = keys((group * (EACH_TEXELS / 4u) + j) * WG + lane);
        nans += count_key(quad.x, prefix, floor);
        nans += count_key(quad.y, prefix, floor);
        nans += count_key(quad.z, prefix, floor);
        nans += count_key(quad.w, prefix, floor);
    }
    count_end(lane, nans);
}

// One workgroup. Finds the bin that holds the k-th largest key and clears the histogram.
@compute @workgroup_size(WG)
fn pick(@builtin(local_invocation_index) lane: u32) {
    const OWN = BINS / WG;
    var own = 0u;
    for (var b = 0u; b < OWN; b++) { own += atomicLoad(&histogram[lane * OWN + b]); }
    sums[lane] = own;
    let wanted = chosen[TAKE];
    let prefix = chosen[KEY];
    let due = is_due();
    storageBarrier(); // everybody has read `chosen` before somebody writes it
    workgroupBarrier();
    let up_to_here = sum_before(lane) + own;
    var above = total - up_to_here;
    if due && above < wanted && wanted <= above + own {
        var bin = lane * OWN + OWN - 1u;
        var n = atomicLoad(&histogram[bin]);
        while above + n < wanted {
            above += n;
            bin -= 1u;
            n = atomicLoad(&histogram[bin]);
        }
        let all = wanted - above == n;
        chosen[KEY] = ((prefix << args.bits) | bin) << select(0u, args.shift, all);
        chosen[TAKE] = select(wanted - above, ALL, all);
        chosen[LEVEL] = select(args.shift, 0u, all);
    }
    for (var b = 0u; b < OWN; b++) { atomicStore(&histogram[lane * OWN + b], 0u); }
}

fn ties_of_word(first: u32) -> u32 {
    var n = 0u;
    for (var i = first; i < min(first + 32u, args.len); i++) {
        n += select(0u, 1u, key(i) == chosen[KEY]);
    }
    return n;
}

fn ties_of_texels(first: u32, threshold: u32) -> u32 {
    var n = vec4<u32>(0u);
    for (var q = 0u; q < 8u; q++) {
        n += select(vec4<u32>(0u), vec4<u32>(1u), keys(first / 4u + q) == vec4<u32>(threshold));
    }
    return n.x + n.y + n.z + n.w;
}

// Where all are taken, nobody asks how many ties there are: 0 will do.
fn nobody_asks(group: u32, lane: u32) -> bool {
    if lane == 0u {
        takes_all = chosen[TAKE] == ALL;
        if takes_all { tie_counts[args.first_block + group] = 0u; }
    }
    return workgroupUniformLoad(&takes_all);
}

// The number of keys in each block that equal the k-th.
@compute @workgroup_size(WG)
fn ties(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    if nobody_asks(group, lane) { return; }
    let sum = tree(lane, ties_of_word(group * BLOCK + lane * 32u));
    if lane == 0u { tie_counts[args.first_block + group] = sum; }
}

@compute @workgroup_size(WG)
fn ties_texels(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
               @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    if nobody_asks(group, lane) { return; }
    let sum = tree(lane, ties_of_texels(group * BLOCK + lane * 32u, chosen[KEY]));
    if lane == 0u { tie_counts[args.first_block + group] = sum; }
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

// Writes a word of the mask and counts what it keeps, grows and drops.
fn store(first: u32, bits: u32) {
    if first < args.len {
        let old = mask[first / 32u];
        mask[first / 32u] = bits;
        atomicAdd(&changes[KEPT], countOneBits(bits));
        atomicAdd(&changes[GROWN], countOneBits(bits & ~old));
        atomicAdd(&changes[DROPPED], countOneBits(old & ~bits));
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
    let threshold = chosen[KEY];
    let take = chosen[TAKE];
    var bits = 0u;
    for (var j = 0u; j < 32u; j++) {
        let i = first + j;
        if i < args.len && budget.keep != 0u { bits |= kept(key(i), j, threshold, take, &rank); }
    }
    store(first, bits);
    workgroupBarrier();
    if lane < 3u { atomicAdd(&counts[args.tensor * 4u + lane], atomicLoad(&changes[lane])); }
}

@compute @workgroup_size(WG)
fn mark_texels(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
               @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let first = group * BLOCK + lane * 32u;
    let threshold = chosen[KEY];
    let take = chosen[TAKE];
    sums[lane] = ties_of_texels(first, threshold);
    if lane < 4u { atomicStore(&changes[lane], 0u); }
    workgroupBarrier();
    var rank = tie_counts[args.first_block + group] + sum_before(lane);
    var bits = 0u;
    for (var q = 0u; q < 8u && budget.keep != 0u; q++) {
        let quad = keys(first / 4u + q);
        bits |= kept(quad.x, 4u * q, threshold, take, &rank);
        bits |= kept(quad.y, 4u * q + 1u, threshold, take, &rank);
        bits |= kept(quad.z, 4u * q + 2u, threshold, take, &rank);
        bits |= kept(quad.w, 4u * q + 3u, threshold, take, &rank);
    }
    store(first, bits);
    workgroupBarrier();
    if lane < 3u { atomicAdd(&counts[args.tensor * 4u + lane], atomicLoad(&changes[lane])); }
}
