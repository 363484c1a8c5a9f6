// What the kernels share that look for an order of inputs: sizes, whose turn it is, and who meets whom.
//#use common/grid
const WG = 64u;

struct Args {
    rows: u32,        // of this block of the weight
    inner: u32,
    keep: u32,        // N
    group: u32,       // M
    groups: u32,      // of M inputs; the last may be shorter
    quads: u32,       // of rows of this block
    shares: u32,      // into which these are dealt
    first_share: u32, // that of this block among all
    all_shares: u32,
    ring: u32,        // turns of a round: an odd number, groups - 1 or groups
    turn: u32,        // within the round, from 1; 0 before the first
    least: f32,       // of what is compared: less than this share of it is no gain, but rounding
}
struct Round { round: u32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<uniform> now: Round;
@group(0) @binding(3) var<storage, read_write> order: array<u32>; // (inner,): the input at each place
@group(0) @binding(4) var<storage, read_write> changed: array<u32>; // (groups,): the turn of the last exchange

// Turns are counted from 1 over all rounds.
fn this_turn() -> u32 {
    return now.round * args.ring + args.turn;
}

// Pair k of this turn, by the circle method: one stays where it is, the others go around it by one place a turn. After a
// round each has met each once, and within a turn nobody is in two pairs.
fn pair(k: u32) -> vec2<u32> {
    let one = (args.turn + k) % args.ring;
    let other = select((args.turn + args.ring - k) % args.ring, args.ring, k == 0u);
    return vec2<u32>(min(one, other), max(one, other));
}

// Whether both exist, and one of them has changed since they last met.
fn is_open(p: vec2<u32>) -> bool {
    if !(p.y < args.groups) { return false; }
    return max(changed[p.x], changed[p.y]) + args.ring >= this_turn();
}

fn size_of(group: u32) -> u32 {
    return min(args.group, args.inner - group * args.group);
}

// The input that is the group's i-th; its last one if there are not as many.
fn member(group: u32, i: u32) -> u32 {
    return min(order[group * args.group + min(i, size_of(group) - 1u)], args.inner - 1u);
}
