// A weight, its gradient and its mask, as every optimizer sees them. Arrays are read as vec4; the padded tail is zero
// and stays zero.
const WG = 64u;
const FREE = 0u;   // no mask
const HELD = 1u;   // pruned weights and their slots are 0
const LATENT = 2u; // pruned weights keep their value and see no gradient

@group(0) @binding(2) var<storage, read> grad: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> weight: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> mask: array<u32>;

// Which of the four weights of quad i are kept.
fn kept(i: u32, mode: u32) -> vec4<bool> {
    if mode == FREE { return vec4<bool>(true); }
    let bits = mask[i / 8u] >> (i % 8u * 4u);
    return (vec4<u32>(bits) & vec4<u32>(1u, 2u, 4u, 8u)) != vec4<u32>(0u);
}
