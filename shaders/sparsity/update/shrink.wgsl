// d_weight += kept ? inside * pull(weight) : outside * pull(weight), where pull is the weight or its sign.
// SR-STE (Zhou et al., 2021): inside 0, outside lambda. Top-KAST's exploration loss (Jayakumar et al., 2020).
// weight, d_weight: (len,). One invocation per four elements.
//#use common/grid
const WG = 64u;

struct Args { quads: u32, inside: f32, outside: f32, signs: u32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> mask: array<u32>;
@group(0) @binding(3) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> d_weight: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.quads) { return; }
    let bits = mask[i / 8u] >> (i % 8u * 4u);
    let kept = (vec4<u32>(bits) & vec4<u32>(1u, 2u, 4u, 8u)) != vec4<u32>(0u);
    let w = weight[i];
    let pull = select(w, sign(w), vec4<bool>(args.signs == 1u));
    d_weight[i] += select(vec4<f32>(args.outside), vec4<f32>(args.inside), kept) * pull;
}
