// Blocks of a matrix (rows, inner), each height x width, numbered along their rows; the last ones of a row and of a column
// may be smaller. Rows of a block lie `apart` from each other; between them are those of the blocks below.
// `pool`: the mean or the largest |source| of what a block has. One invocation a block.
// `spread`: the mask over weights of a mask over blocks. One invocation a word of 32 weights.
// source: (rows, inner). score: (blocks,). blocks, mask: bits, i % 32 of word i / 32.
//#use common/grid
const WG = 64u;

struct Args {
    rows: u32,
    inner: u32,
    height: u32,
    width: u32,
    apart: u32,
    largest: u32, // 1: the largest, 0: the mean
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> source: array<f32>;
@group(0) @binding(3) var<storage, read_write> score: array<f32>;
@group(0) @binding(4) var<storage, read> blocks: array<u32>;
@group(0) @binding(5) var<storage, read_write> mask: array<u32>;

// Blocks beside each other, and below each other.
fn grid_of_blocks() -> vec2<u32> {
    return (vec2<u32>(args.inner, args.rows) + vec2<u32>(args.width, args.height) - 1u)
        / vec2<u32>(args.width, args.height);
}

@compute @workgroup_size(WG)
fn pool(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let block = group * WG + lane;
    let blocks = grid_of_blocks();
    if !(group < grid.end && block < blocks.x * blocks.y) { return; }
    let column = block % blocks.x * args.width;
    let down = block / blocks.x;
    let row = down / args.apart * args.apart * args.height + down % args.apart;
    let width = min(args.width, args.inner - column);
    let height = min(args.height, (args.rows - row + args.apart - 1u) / args.apart);
    var sum = 0.0;
    var peak = 0u; // by bits, which order as magnitudes do and let no NaN get lost
    for (var r = 0u; r < height; r++) {
        for (var c = 0u; c < width; c++) {
            let magnitude = abs(source[(row + r * args.apart) * args.inner + column + c]);
            sum += magnitude;
            peak = max(peak, bitcast<u32>(magnitude));
        }
    }
    score[block] = select(sum / f32(height * width), bitcast<f32>(peak), args.largest == 1u);
}

@compute @workgroup_size(WG)
fn spread(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
          @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let word = group * WG + lane;
    let len = args.rows * args.inner;
    if !(group < grid.end && word * 32u < len) { return; }
    let across = grid_of_blocks().x;
    var bits = 0u;
    for (var j = 0u; j < min(32u, len - word * 32u); j++) {
        let i = word * 32u + j;
        let row = i / args.inner;
        let down = row / (args.height * args.apart) * args.apart + row % args.apart;
        let block = down * across + i % args.inner / args.width;
        bits |= ((blocks[block / 32u] >> (block % 32u)) & 1u) << j;
    }
    mask[word] = bits;
}
