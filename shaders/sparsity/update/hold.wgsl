// values = mask * source: a held mask's zeros, or the effective weight of a latent one.
// source, values: (len,). One invocation per four elements; the padded tail stays zero.
//#use common/grid
const WG = 64u;

struct Args { quads: u32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> mask: array<u32>;
@group(0) @binding(3) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> values: array<vec4<f32>>;

fn kept(i: u32) -> vec4<bool> {
    let bits = mask[i / 8u] >> (i % 8u * 4u);
    return (vec4<u32>(bits) & vec4<u32>(1u, 2u, 4u, 8u)) != vec4<u32>(0u);
}

@compute @workgroup_size(WG)
fn in_place(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
            @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.quads) { return; }
    values[i] = select(vec4<f32>(0.0), values[i], kept(i));
}

@compute @workgroup_size(WG)
fn effective(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
             @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.quads) { return; }
    values[i] = select(vec4<f32>(0.0), source[i], kept(i));
}
