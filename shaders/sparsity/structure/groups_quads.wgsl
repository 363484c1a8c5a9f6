// As `gate` of sparsity/structure/groups, four inputs at a time: rows and groups are multiples of four.
// source, weight: (rows, inner / 4) of vec4. mask: bits, i % 32 of word i / 32. counts: scores that are not numbers.
// One invocation a group.
//#use common/grid
const WG = 64u;
const INFINITY = 0x7f800000u;
const PASSES_BY_BITS = 33u;

struct Args { rows: u32, inner: u32 }
struct Gate {
    keep: u32,
    group: u32, // inputs of a group, a multiple of four
    decay: f32,
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<uniform> gates: Gate;
@group(0) @binding(3) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> mask: array<atomic<u32>>;
@group(0) @binding(5) var<storage, read_write> weight: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> counts: array<atomic<u32>>;

// The last that was picked, from the large end or the small one: its key and its place.
struct Cut { largest: bool, key: u32, at: u32 }
struct Best { found: bool, key: u32, at: u32 }

// Keys are turned around where the smallest are picked; of equal ones the lower place counts as larger.
fn consider(best: Best, last: Cut, first_turn: bool, key: u32, place: u32) -> Best {
    let after = select((place < last.at), (place > last.at), last.largest);
    let open = first_turn || key < last.key || (key == last.key && after);
    let better = !best.found || key > best.key || (key == best.key && !last.largest);
    if open && better { return Best(true, key, place); }
    return best;
}

fn keys_of(i: u32) -> vec4<u32> {
    return bitcast<vec4<u32>>(source[i]) & vec4<u32>(0x7fffffffu);
}

fn count(those: vec4<bool>) -> u32 {
    return dot(select(vec4<u32>(0u), vec4<u32>(1u), those), vec4<u32>(1u));
}

// As `cut_by_bits` of sparsity/structure/groups.
fn cut_by_bits(first: u32, size: u32, keep: u32) -> Cut {
    var found = 0u;
    for (var bit = 1u << 30u; bit > 0u; bit >>= 1u) {
        var reached = 0u;
        for (var q = 0u; q < size / 4u; q++) { reached += count(keys_of(first + q) >= vec4<u32>(found | bit)); }
        if reached >= keep { found |= bit; }
    }
    var equals = keep; // that are picked
    for (var q = 0u; q < size / 4u; q++) { equals -= count(keys_of(first + q) > vec4<u32>(found)); }
    var last = Cut(true, found, 0u);
    for (var j = 0u; equals > 0u; j++) {
        if keys_of(first + j / 4u)[j % 4u] == found {
            last.at = j;
            equals--;
        }
    }
    return last;
}

fn cut(first: u32, size: u32, keep: u32) -> Cut {
    let largest = keep * 2u <= size;
    let turns = select(size - keep, keep, largest);
    if turns > PASSES_BY_BITS { return cut_by_bits(first, size, keep); }
    let flip = vec4<u32>(select(0xffffffffu, 0u, largest));
    var last = Cut(largest, 0xffffffffu, 0u);
    for (var turn = 0u; turn < turns; turn++) {
        var best = Best(false, 0u, 0u);
        for (var q = 0u; q < size / 4u; q++) {
            let keys = keys_of(first + q) ^ flip;
            best = consider(best, last, turn == 0u, keys.x, q * 4u);
            best = consider(best, last, turn == 0u, keys.y, q * 4u + 1u);
            best = consider(best, last, turn == 0u, keys.z, q * 4u + 2u);
            best = consider(best, last, turn == 0u, keys.w, q * 4u + 3u);
        }
        last.key = best.key;
        last.at = best.at;
    }
    return last;
}

// Which of four are picked.
fn picked(c: Cut, keys: vec4<u32>, place: u32) -> vec4<bool> {
    let places = vec4<u32>(place) + vec4<u32>(0u, 1u, 2u, 3u);
    let before = select(places >= vec4<u32>(c.at), places <= vec4<u32>(c.at), vec4<bool>(c.largest));
    return (keys > vec4<u32>(c.key)) | ((keys == vec4<u32>(c.key)) & before);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let per_row = (args.inner + gates.group - 1u) / gates.group;
    let row = (group * WG + lane) / per_row;
    if !(group < grid.end && row < args.rows) { return; }
    let begin = ((group * WG + lane) % per_row) * gates.group;
    let size = min(gates.group, args.inner - begin);
    let keep = min(gates.keep, size);
    let first = (row * args.inner + begin) / 4u;
    let c = cut(first, size, keep);
    let flip = vec4<u32>(select(0xffffffffu, 0u, c.largest));
    let all = vec4<bool>(keep == size);
    var word = first / 8u;
    var span = 0u;
    var bits = 0u;
    var nans = 0u;
    for (var q = 0u; q < size / 4u; q++) {
        let at = first + q;
        if at / 8u != word {
            atomicAnd(&mask[word], bits | ~span);
            atomicOr(&mask[word], bits);
            word = at / 8u;
            span = 0u;
            bits = 0u;
        }
        let values = source[at];
        let keys = bitcast<vec4<u32>>(values) & vec4<u32>(0x7fffffffu);
        let kept = all | (picked(c, keys ^ flip, q * 4u) == vec4<bool>(c.largest));
        let own = dot(select(vec4<u32>(0u), vec4<u32>(1u, 2u, 4u, 8u), kept), vec4<u32>(1u));
        bits |= own << (at % 8u * 4u);
        span |= 15u << (at % 8u * 4u);
        nans += count(keys > vec4<u32>(INFINITY));
        weight[at] = select(gates.decay * values, values, kept);
    }
    atomicAnd(&mask[word], bits | ~span);
    atomicOr(&mask[word], bits);
    if nans > 0u { atomicAdd(&counts[0], nans); }
}
