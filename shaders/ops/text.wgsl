// A batch of rows from a stream of tokens: what a model reads, and the token that follows each.
// stream: whole numbers of `bits` (8, 16 or 32) each, packed into words from the low end. order: (rows,).
// x: (reads, batch). labels: (reads - skips, batch), IGNORED where nobody is asked. One invocation per token read.
//#use common/grid
//#use common/step
const WG = 64u;
const IGNORED = 0xffffffffu;

struct Args {
    batch: u32,
    reads: u32,
    skips: u32,
    every: u32,   // from the start of a row to that of the next
    bits: u32,
    padding: u32, // a token that nobody is asked for, or IGNORED
}
// Where the first row begins, in this epoch.
struct Start { at: u32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> stream: array<u32>;
@group(0) @binding(3) var<storage, read> order: array<u32>;
@group(0) @binding(4) var<uniform> start: Start;
@group(0) @binding(5) var<storage, read_write> x: array<u32>;
@group(0) @binding(6) var<storage, read_write> labels: array<u32>;

fn token(i: u32) -> u32 {
    let each = 32u / args.bits;
    let word = stream[i / each] >> (i % each * args.bits % 32u);
    return select(word & ((1u << (args.bits % 32u)) - 1u), word, args.bits == 32u);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.reads * args.batch) { return; }
    let at = i / args.batch;
    let col = i % args.batch;
    let is_asked = at >= args.skips;
    let label = i - args.skips * args.batch;
    if col >= step.live {
        x[i] = 0u;
        if is_asked { labels[label] = IGNORED; }
        return;
    }
    let here = start.at + order[step.first + col] * args.every + at;
    x[i] = token(here);
    if is_asked {
        let next = token(here + 1u);
        labels[label] = select(next, IGNORED, next == args.padding);
    }
}
