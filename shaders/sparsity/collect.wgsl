// Gathers what selections have marked into one list, in order: scores and places.
// mask: bits, i % 32 of word i / 32. A block is 8,192 elements, 32 an invocation; counts holds a number for each block,
// those of the list before those of the tile; between `survey` and the moves they are summed up.
//#use common/grid
//#use sparsity/sum_before
const WG = 256u;
const EXCLUDED = 3.40282346638528859812e+38;

struct Args {
    len: u32,         // elements of the source; of `clear`, of the list
    first_block: u32, // the source's first entry in counts
    first_place: u32, // of a tile: the place of its first element
    tally: u32,       // `note`: which count of a selection to add
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> mask: array<u32>;
@group(0) @binding(3) var<storage, read_write> counts: array<u32>;
@group(0) @binding(4) var<storage, read> score: array<f32>;
@group(0) @binding(5) var<storage, read> place: array<u32>;
@group(0) @binding(6) var<storage, read_write> list_score: array<f32>;
@group(0) @binding(7) var<storage, read_write> list_place: array<u32>;
@group(0) @binding(8) var<storage, read> tallies: array<u32>;
@group(0) @binding(9) var<storage, read_write> noted: array<u32>;

// The number of marked elements before this invocation's, within the block.
fn marked_before(lane: u32, own: u32) -> u32 {
    sums[lane] = own;
    workgroupBarrier();
    return sum_before(lane);
}

// The bits of word i, 0 past the end.
fn word(i: u32) -> u32 {
    if i * 32u < args.len { return mask[i]; }
    return 0u;
}

// Forgets the list: every place of it is excluded.
@compute @workgroup_size(WG)
fn clear(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.len) { return; }
    list_score[i] = EXCLUDED;
}

// Counts the marked elements of each block.
@compute @workgroup_size(WG)
fn survey(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
          @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let own = countOneBits(word(group * WG + lane));
    let before = marked_before(lane, own);
    if lane == WG - 1u { counts[args.first_block + group] = before + own; }
}

// Appends the marked elements of a list.
@compute @workgroup_size(WG)
fn move_list(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
             @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    var bits = word(group * WG + lane);
    var to = counts[args.first_block + group] + marked_before(lane, countOneBits(bits));
    let first = (group * WG + lane) * 32u;
    while bits != 0u {
        let i = first + firstTrailingBit(bits);
        list_score[to] = score[i];
        list_place[to] = place[i];
        to += 1u;
        bits &= bits - 1u;
    }
}

// Appends the marked elements of a tile.
@compute @workgroup_size(WG)
fn move_tile(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
             @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    var bits = word(group * WG + lane);
    var to = counts[args.first_block + group] + marked_before(lane, countOneBits(bits));
    let first = (group * WG + lane) * 32u;
    while bits != 0u {
        let i = first + firstTrailingBit(bits);
        list_score[to] = score[i];
        list_place[to] = args.first_place + i;
        to += 1u;
        bits &= bits - 1u;
    }
}

// Adds one count of a selection to what was noted; one invocation.
@compute @workgroup_size(1)
fn note() {
    noted[0] += tallies[args.tally];
}
