// Filters: scores of channels, and the masks of all weights that belong to those which are kept.
// `score`: of each channel the sum over its rows of sum |source| (L1), or of the root of sum source^2 (L2).   Li et al. 2017.
//   One workgroup a channel. source: (rows, inner). rows: those of each channel, from starts[channel] on. score: (channels,).
// `flag`: 1 for each channel whose bit is set, else 0. One invocation a channel.
//   bits: i % 32 of word i / 32. kept: of all channels of the network, of which those from args.first on are written.
// `spread`: the mask of a weight (all_rows, inner), rows from args.first on: what neither its row nor its column prunes.
//   One invocation a word of 32 weights. row_channel: (all_rows,). column_channel: (groups, inner). NONE: never pruned.
//#use common/grid
//#use common/tree
alias Summed = f32;
const WG = 64u;
const NONE = 0xffffffffu;

struct Args {
    channels: u32,
    first: u32,
    rows: u32,
    all_rows: u32,
    inner: u32,
    groups: u32,
    squares: u32, // 1: L2, 0: L1
    adds: u32,    // 1: to the score that is there
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> starts: array<u32>;
@group(0) @binding(3) var<storage, read> rows: array<u32>;
@group(0) @binding(4) var<storage, read> source: array<f32>;
@group(0) @binding(5) var<storage, read_write> score: array<f32>;
@group(0) @binding(6) var<storage, read> bits: array<u32>;
@group(0) @binding(7) var<storage, read_write> kept: array<u32>;
@group(0) @binding(8) var<storage, read> flags: array<u32>;
@group(0) @binding(9) var<storage, read> row_channel: array<u32>;
@group(0) @binding(10) var<storage, read> column_channel: array<u32>;
@group(0) @binding(11) var<storage, read_write> mask: array<u32>;

@compute @workgroup_size(WG)
fn score_rows(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) lane: u32) {
    let channel = group_index(id, groups);
    if !(channel < grid.end) { return; }
    var sum = 0.0;
    for (var at = starts[channel]; at < starts[channel + 1u]; at++) {
        let row = rows[at] * args.inner;
        var own = 0.0;
        for (var i = lane; i < args.inner; i += WG) {
            let value = source[row + i];
            own += select(abs(value), value * value, args.squares == 1u);
        }
        let norm = tree(lane, own);
        workgroupBarrier(); // all have read it before the next row is added up
        sum += select(norm, sqrt(norm), args.squares == 1u);
    }
    if lane == 0u { score[channel] = select(0.0, score[channel], args.adds == 1u) + sum; }
}

@compute @workgroup_size(WG)
fn flag(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let channel = group * WG + lane;
    if !(group < grid.end && channel < args.channels) { return; }
    kept[args.first + channel] = (bits[channel / 32u] >> (channel % 32u)) & 1u;
}

fn is_kept(channel: u32) -> bool {
    if channel == NONE { return true; }
    return flags[channel] == 1u;
}

@compute @workgroup_size(WG)
fn spread(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
          @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let word = group * WG + lane;
    let len = args.rows * args.inner;
    if !(group < grid.end && word * 32u < len) { return; }
    var own = 0u;
    for (var j = 0u; j < min(32u, len - word * 32u); j++) {
        let i = word * 32u + j;
        let row = args.first + i / args.inner;
        let column = row * args.groups / args.all_rows * args.inner + i % args.inner;
        let stays = is_kept(row_channel[row]) && is_kept(column_channel[column]);
        own |= select(0u, 1u, stays) << j;
    }
    mask[word] = own;
}
