// Gathers what selections have marked into one list, in order: scores and indices.
// mask: bits, i % 32 of word i / 32. A block is 2,048 elements, and one invocation's work: where few invocations run at once,
// a loop of its own costs each less than waiting for others. counts holds for each block the number of marked elements before
// it, those of the list before those of the tile.
//#use common/grid
//#use sparsity/select/sum_before
const WG = 256u;
const MOVERS = 64u;
const WORDS = 64u; // of a block
const EXCLUDED = 3.40282346638528859812e+38;

// Entries of `noted`.
const NANS = 0u;   // scores that were not numbers
const FAILED = 1u; // times that more was marked than there is room for, or too little

struct Args {
    len: u32,         // elements of the list; of `clear`, too
    tile_len: u32,    // elements of the tile
    first_block: u32, // moves: the source's first entry in counts
    first_index: u32, // of the tile: the index of its first element
    to: u32,          // where in the list what is appended begins
    end: u32,         // and what the list has room for
    asks: u32,        // `survey`: whether as many have to be marked as are asked for, where there is a floor
    tally: u32,       // `note`: which count of a selection to add
}
struct Budget { keep: u32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> mask: array<u32>;
@group(0) @binding(3) var<storage, read_write> counts: array<u32>;
@group(0) @binding(4) var<storage, read> score: array<f32>;
@group(0) @binding(5) var<storage, read> index: array<u32>;
@group(0) @binding(6) var<storage, read_write> list_score: array<f32>;
@group(0) @binding(7) var<storage, read_write> list_index: array<u32>;
@group(0) @binding(8) var<storage, read> tallies: array<u32>;
@group(0) @binding(9) var<storage, read_write> noted: array<u32>;
@group(0) @binding(10) var<storage, read> tile_mask: array<u32>;
@group(0) @binding(11) var<storage, read> floor_key: array<u32>;
@group(0) @binding(12) var<uniform> budget: Budget;

fn words(len: u32) -> u32 {
    return (len + 31u) / 32u;
}

fn blocks(len: u32) -> u32 {
    return (words(len) + WORDS - 1u) / WORDS;
}

// Forgets the list: every entry of it is excluded.
@compute @workgroup_size(WG)
fn clear(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.len) { return; }
    list_score[i] = EXCLUDED;
}

// One workgroup. Counts the marked elements before each block. Notes if all are more than there is room for; or, where those
// that reach a floor are marked, fewer than are asked for.
@compute @workgroup_size(WG)
fn survey(@builtin(local_invocation_index) lane: u32) {
    let listed = blocks(args.len);
    let end = listed + blocks(args.tile_len);
    let own = (end + WG - 1u) / WG;
    var sum = 0u;
    for (var b = lane * own; b < min((lane + 1u) * own, end); b++) {
        var n = 0u;
        if b < listed {
            for (var w = b * WORDS; w < min((b + 1u) * WORDS, words(args.len)); w++) { n += countOneBits(mask[w]); }
        } else {
            let first = (b - listed) * WORDS;
            for (var w = first; w < min(first + WORDS, words(args.tile_len)); w++) { n += countOneBits(tile_mask[w]); }
        }
        counts[b] = n;
        sum += n;
    }
    sums[lane] = sum;
    workgroupBarrier();
    var before = sum_before(lane);
    for (var b = lane * own; b < min((lane + 1u) * own, end); b++) {
        let n = counts[b];
        counts[b] = before;
        before += n;
    }
    let lacks = args.asks != 0u && total < budget.keep && floor_key[0] != 0u;
    if lane == 0u && (lacks || total > args.end - args.to) { noted[FAILED] += 1u; }
}

// Appends the marked elements of a list.
@compute @workgroup_size(MOVERS)
fn move_list(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
             @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let block = group * MOVERS + lane;
    if !(group < grid.end && block < blocks(args.len)) { return; }
    var to = args.to + counts[args.first_block + block];
    for (var w = block * WORDS; w < min((block + 1u) * WORDS, words(args.len)); w++) {
        var bits = mask[w];
        while bits != 0u && to < args.end {
            let i = w * 32u + firstTrailingBit(bits);
            list_score[to] = score[i];
            list_index[to] = index[i];
            to += 1u;
            bits &= bits - 1u;
        }
    }
}

// Appends the marked elements of a tile.
@compute @workgroup_size(MOVERS)
fn move_tile(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
             @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let block = group * MOVERS + lane;
    if !(group < grid.end && block < blocks(args.tile_len)) { return; }
    var to = args.to + counts[args.first_block + block];
    for (var w = block * WORDS; w < min((block + 1u) * WORDS, words(args.tile_len)); w++) {
        var bits = tile_mask[w];
        while bits != 0u && to < args.end {
            let i = w * 32u + firstTrailingBit(bits);
            list_score[to] = score[i];
            list_index[to] = args.first_index + i;
            to += 1u;
            bits &= bits - 1u;
        }
    }
}

// Adds one count of a selection to the scores that were not numbers; one invocation.
@compute @workgroup_size(1)
fn note() {
    noted[NANS] += tallies[args.tally];
}
