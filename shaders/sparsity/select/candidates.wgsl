// Scores of those that may be selected; EXCLUDED for all others.
// `choose`: score = source where the mask's bit equals args.want. source, score: (len,). One invocation an element.
// `strike`: EXCLUDED at the entries of a packed weight whose bit is set, in a tile of its rows (rows, inner).
// One invocation a row of the tile; a bit for every value, i % 32 of word i / 32.
// `bar`: EXCLUDED where the mask has a bit. One invocation an element.
// `choose_quads`, `bar_quads`: the same by four elements an invocation, where their number is a multiple of four.
// `noise`: uniform random scores, a function of seed, stream, step, tensor and index. One invocation per four.
//#use common/grid
//#use common/philox
const WG = 64u;
const EXCLUDED = 3.40282346638528859812e+38;

struct Args {
    len: u32,
    want: u32,        // `choose`
    first_row: u32,   // `strike`: the tile's first row
    rows: u32,        // and its number of rows
    inner: u32,
    first_index: u32, // `noise`: of the tile's first element, a multiple of 4
    seed_low: u32,
    seed_high: u32,
    stream: u32,
    tensor: u32,
}
struct Draw { step: u32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> mask: array<u32>;
@group(0) @binding(3) var<storage, read> source: array<f32>;
@group(0) @binding(4) var<storage, read_write> score: array<f32>;
@group(0) @binding(5) var<storage, read> starts: array<u32>;
@group(0) @binding(6) var<storage, read> columns: array<u32>;
@group(0) @binding(7) var<uniform> draw: Draw;
@group(0) @binding(8) var<storage, read> source_quads: array<vec4<f32>>;
@group(0) @binding(9) var<storage, read_write> score_quads: array<vec4<f32>>;

fn bit(i: u32) -> u32 {
    return (mask[i / 32u] >> (i % 32u)) & 1u;
}

// The bits of elements 4 i .. 4 i + 4.
fn bits(i: u32) -> vec4<u32> {
    return (vec4<u32>(mask[i / 8u] >> (i % 8u * 4u)) >> vec4<u32>(0u, 1u, 2u, 3u)) & vec4<u32>(1u);
}

@compute @workgroup_size(WG)
fn choose(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
          @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.len) { return; }
    score[i] = select(EXCLUDED, source[i], bit(i) == args.want);
}

@compute @workgroup_size(WG)
fn choose_quads(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.len / 4u) { return; }
    score_quads[i] = select(vec4<f32>(EXCLUDED), source_quads[i], bits(i) == vec4<u32>(args.want));
}

@compute @workgroup_size(WG)
fn strike(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
          @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let row = group * WG + lane;
    if !(group < grid.end && row < args.rows) { return; }
    let end = starts[args.first_row + row + 1u];
    for (var entry = starts[args.first_row + row]; entry < end; entry++) {
        if bit(entry) == 1u { score[row * args.inner + columns[entry]] = EXCLUDED; }
    }
}

@compute @workgroup_size(WG)
fn bar(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
       @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.len) { return; }
    if bit(i) == 1u { score[i] = EXCLUDED; }
}

@compute @workgroup_size(WG)
fn bar_quads(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
             @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.len / 4u) { return; }
    score_quads[i] = select(score_quads[i], vec4<f32>(EXCLUDED), bits(i) == vec4<u32>(1u));
}

@compute @workgroup_size(WG)
fn noise(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let block = group * WG + lane;
    if !(group < grid.end && block * 4u < args.len) { return; }
    let counter = vec4<u32>(args.first_index / 4u + block, args.tensor, draw.step, args.stream);
    let words = philox4x32_10(counter, vec2<u32>(args.seed_low, args.seed_high));
    for (var j = 0u; j < min(4u, args.len - block * 4u); j++) { score[block * 4u + j] = unit(words[j]); }
}
