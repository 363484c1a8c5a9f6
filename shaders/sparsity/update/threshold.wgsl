// Soft threshold: weight = sign(source) * max(|source| - sigmoid(s), 0), with s learned; mask: |source| > sigmoid(s).
// STR, Kusupati et al., 2020, equation 4. `backward` is its derivative: d_weight *= mask, and of each workgroup the sum
// of d_weight * sign(source) * mask.
// source, weight, d_weight: (len,). threshold: (1,), s. partial: a sum for each workgroup, from `first` on.
// counts: sources that are not numbers.
// `forward`: one invocation a word of the mask. `backward`: one invocation per four elements.
//#use common/grid
//#use common/tree
//#use sparsity/update/sigmoid
const WG = 64u;
const INFINITY = 0x7f800000u;

struct Args { quads: u32, first: u32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> threshold: array<f32>;
@group(0) @binding(3) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> mask: array<u32>;
@group(0) @binding(5) var<storage, read_write> weight: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> kept_bits: array<u32>;
@group(0) @binding(7) var<storage, read_write> d_weight: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> partial: array<f32>;
@group(0) @binding(9) var<storage, read_write> counts: array<atomic<u32>>;

const BITS = vec4<u32>(1u, 2u, 4u, 8u);

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let word = group * WG + lane;
    if !(group < grid.end && word * 8u < args.quads) { return; }
    let cut = vec4<f32>(sigmoid(threshold[0]));
    var bits = 0u;
    var nans = 0u;
    for (var q = 0u; q < 8u && word * 8u + q < args.quads; q++) {
        let i = word * 8u + q;
        let w = source[i];
        let kept = select(vec4<u32>(0u), BITS, abs(w) > cut);
        bits |= (kept.x | kept.y | kept.z | kept.w) << (q * 4u);
        let keys = bitcast<vec4<u32>>(w) & vec4<u32>(0x7fffffffu);
        nans += dot(select(vec4<u32>(0u), vec4<u32>(1u), keys > vec4<u32>(INFINITY)), vec4<u32>(1u));
        weight[i] = sign(w) * max(abs(w) - cut, vec4<f32>(0.0));
    }
    mask[word] = bits;
    if nans > 0u { atomicAdd(&counts[0], nans); }
}

alias Summed = f32;

@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
            @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    var sum = 0.0;
    if group < grid.end && i < args.quads {
        let bits = kept_bits[i / 8u] >> (i % 8u * 4u);
        let d = select(vec4<f32>(0.0), d_weight[i], (vec4<u32>(bits) & BITS) != vec4<u32>(0u));
        d_weight[i] = d;
        sum = dot(d, sign(source[i]));
    }
    let all = tree(lane, sum);
    if lane == 0u && group < grid.end { partial[args.first + group] = all; }
}
