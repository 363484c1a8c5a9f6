// What newly grown weights start with: a draw, or a share of the gradient.   Evci et al., 2020, the published code.
// `masked`: weight where `grow` has a bit and `mask`, as it was before, has none. weight, grad: (len,). One invocation
// a word of bits, i % 32 of word i / 32.
// `listed`: value of each index of a list. index, score, value: (len,); score is the gradient there.
// Draws are a function of seed, stream, step, tensor and index. sums: of the whole weight before the update, of its
// values, of their magnitudes and of their squares.
//#use common/grid
//#use common/philox
const WG = 64u;
const TAU = 6.2831853071795864769;
const INITIAL = 1u;  // uniform, as before the first step
const NORMAL = 2u;   // with the deviation of the weight
const UNIFORM = 3u;  // within the mean magnitude of the weight
const GRADIENT = 4u;
const SIGN = 5u;     // of the gradient

struct Args {
    len: u32,
    kind: u32,
    first_index: u32, // `masked`: of the first element
    tensor: u32,
    seed_low: u32,
    seed_high: u32,
    stream: u32,
    count: f32,       // elements of the whole weight
    bound: f32,       // INITIAL: half of the width
    scale: f32,       // 1 / divisor
}
struct Draw { step: u32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<uniform> draw: Draw;
@group(0) @binding(3) var<storage, read> sums: array<f32>;
@group(0) @binding(4) var<storage, read> grow: array<u32>;
@group(0) @binding(5) var<storage, read> mask: array<u32>;
@group(0) @binding(6) var<storage, read> grad: array<f32>;
@group(0) @binding(7) var<storage, read_write> weight: array<f32>;
@group(0) @binding(8) var<storage, read> index: array<u32>;
@group(0) @binding(9) var<storage, read> score: array<f32>;
@group(0) @binding(10) var<storage, read_write> value: array<f32>;

// Of the whole weight, pruned indices included.
fn deviation() -> f32 {
    let mean = sums[0] / args.count;
    return sqrt(max(sums[2] / args.count - mean * mean, 0.0));
}

fn words_at(at: u32) -> vec4<u32> {
    let counter = vec4<u32>(at / 4u, args.tensor, draw.step, args.stream);
    return philox4x32_10(counter, vec2<u32>(args.seed_low, args.seed_high));
}

// In -1 .. 1.
fn uniform_at(at: u32) -> f32 {
    let words = words_at(at);
    return 2.0 * unit(words[at % 4u]) - 1.0;
}

// By Box and Muller: two words make two numbers. The angle is taken from -pi .. pi, where WGSL bounds the error of `cos`.
fn normal_at(at: u32) -> f32 {
    let words = words_at(at);
    let pair = at % 4u / 2u * 2u;
    let radius = sqrt(max(-2.0 * log(1.0 - unit(words[pair])), 0.0));
    let angle = TAU * (unit(words[pair + 1u]) - 0.5);
    return radius * select(sin(angle), cos(angle), at % 2u == 0u);
}

fn value_at(at: u32, gradient: f32) -> f32 {
    switch args.kind {
        case INITIAL: { return uniform_at(at) * args.bound * args.scale; }
        case NORMAL: { return normal_at(at) * deviation() * args.scale; }
        case UNIFORM: { return uniform_at(at) * (sums[1] / args.count) * args.scale; }
        case GRADIENT: { return gradient * args.scale; }
        case SIGN: { return sign(gradient) * args.scale; }
        default: { return 0.0; }
    }
}

@compute @workgroup_size(WG)
fn masked(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
          @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let word = group * WG + lane;
    if !(group < grid.end && word * 32u < args.len) { return; }
    var bits = grow[word] & ~mask[word];
    while bits != 0u {
        let i = word * 32u + firstTrailingBit(bits);
        if i < args.len { weight[i] = value_at(args.first_index + i, grad[i]); }
        bits &= bits - 1u;
    }
}

@compute @workgroup_size(WG)
fn listed(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
          @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.len) { return; }
    value[i] = value_at(index[i], score[i]);
}
