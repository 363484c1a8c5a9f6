// N of every M: in each group of consecutive inputs of a row the `keep` largest |source| are kept, ties to the lower
// input; the last group of a row may be shorter.
// `mark` writes the mask. `gate` also writes what the forward pass sees: source where kept, else decay * source.
// source, weight: (rows, inner). mask: bits, i % 32 of word i / 32. counts: scores that are not numbers.
// One invocation a group.
//#use common/grid
const WG = 64u;
const INFINITY = 0x7f800000u;
const PASSES_BY_BITS = 33u;

struct Args { rows: u32, inner: u32 }
struct Gate {
    keep: u32,
    group: u32,  // inputs of a group
    decay: f32,  // what is left of a pruned weight in the forward pass
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<uniform> gates: Gate;
@group(0) @binding(3) var<storage, read> source: array<f32>;
@group(0) @binding(4) var<storage, read_write> mask: array<atomic<u32>>;
@group(0) @binding(5) var<storage, read_write> weight: array<f32>;
@group(0) @binding(6) var<storage, read_write> counts: array<atomic<u32>>;

fn key(i: u32) -> u32 {
    return bitcast<u32>(source[i]) & 0x7fffffffu;
}

struct Group { first: u32, size: u32, keep: u32 } // size 0: there is none

// Which end of the order is picked from, and the last that is picked: its key and its place.
struct Cut { largest: bool, key: u32, at: u32 }

// As `cut`, one pass for each bit of a key: first the `keep`-th largest key itself, then the last of its equals that is
// picked.
fn cut_by_bits(g: Group) -> Cut {
    var found = 0u;
    for (var bit = 1u << 30u; bit > 0u; bit >>= 1u) {
        var reached = 0u;
        for (var j = 0u; j < g.size; j++) { reached += select(0u, 1u, key(g.first + j) >= (found | bit)); }
        if reached >= g.keep { found |= bit; }
    }
    var equals = g.keep; // that are picked
    for (var j = 0u; j < g.size; j++) { equals -= select(0u, 1u, key(g.first + j) > found); }
    var last = Cut(true, found, 0u);
    for (var j = 0u; equals > 0u; j++) {
        if key(g.first + j) == found {
            last.at = j;
            equals--;
        }
    }
    return last;
}

// Picks the `keep` largest, or else the others, whichever are fewer: one pass over the group for each, or for each bit
// where that takes fewer passes.
fn cut(g: Group) -> Cut {
    let largest = g.keep * 2u <= g.size;
    let turns = select(g.size - g.keep, g.keep, largest);
    if turns > PASSES_BY_BITS { return cut_by_bits(g); }
    let flip = select(0xffffffffu, 0u, largest); // turns the order of keys, and with it that of places, around
    var last = Cut(largest, 0xffffffffu, 0u);
    for (var turn = 0u; turn < turns; turn++) {
        var found = false;
        var best = 0u;
        var at = 0u;
        for (var j = 0u; j < g.size; j++) {
            let place = select(g.size - 1u - j, j, largest);
            let k = key(g.first + place) ^ flip;
            let open = turn == 0u || k < last.key || (k == last.key && j > last.at);
            if open && (!found || k > best) {
                found = true;
                best = k;
                at = j;
            }
        }
        last.key = best;
        last.at = at;
    }
    return last;
}

fn is_kept(c: Cut, k: u32, place: u32, g: Group) -> bool {
    if g.keep >= g.size { return true; }
    if c.largest { return k > c.key || (k == c.key && place <= c.at); }
    let flipped = ~k;
    let j = g.size - 1u - place;
    return !(flipped > c.key || (flipped == c.key && j <= c.at));
}

// Sets the bits of `span` to `bits`; other groups may write the same word.
fn write_bits(word: u32, span: u32, bits: u32) {
    atomicAnd(&mask[word], bits | ~span);
    atomicOr(&mask[word], bits);
}

fn group_of(i: u32) -> Group {
    let per_row = (args.inner + gates.group - 1u) / gates.group;
    let row = i / per_row;
    if !(row < args.rows) { return Group(0u, 0u, 0u); }
    let begin = (i % per_row) * gates.group;
    let size = min(gates.group, args.inner - begin);
    return Group(row * args.inner + begin, size, min(gates.keep, size));
}

fn write_mask(g: Group, c: Cut) {
    var word = g.first / 32u;
    var span = 0u;
    var bits = 0u;
    var nans = 0u;
    for (var j = 0u; j < g.size; j++) {
        let at = g.first + j;
        if at / 32u != word {
            write_bits(word, span, bits);
            word = at / 32u;
            span = 0u;
            bits = 0u;
        }
        let k = key(at);
        span |= 1u << (at % 32u);
        bits |= select(0u, 1u, is_kept(c, k, j, g)) << (at % 32u);
        nans += select(0u, 1u, k > INFINITY);
    }
    write_bits(word, span, bits);
    if nans > 0u { atomicAdd(&counts[0], nans); }
}

@compute @workgroup_size(WG)
fn mark(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let g = group_of(group * WG + lane);
    if g.size == 0u { return; }
    write_mask(g, cut(g));
}

@compute @workgroup_size(WG)
fn gate(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let g = group_of(group * WG + lane);
    if g.size == 0u { return; }
    let c = cut(g);
    write_mask(g, c);
    for (var j = 0u; j < g.size; j++) {
        let value = source[g.first + j];
        let kept = is_kept(c, bitcast<u32>(value) & 0x7fffffffu, j, g);
        weight[g.first + j] = select(gates.decay * value, value, kept);
    }
}
