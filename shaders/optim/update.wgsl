// What every optimizer shares: the weight, its gradient, its mask, and the flag that stops all updates
// once a loss is not finite. Arrays are read as vec4; the padded tail is zero and stays zero.
const WG = 64u;
const FREE = 0u;   // no mask
const HELD = 1u;   // pruned weights and their slots are 0
const LATENT = 2u; // pruned weights keep their value and see no gradient

@group(0) @binding(2) var<storage, read> grad: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> weight: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> totals: array<u32>;
@group(0) @binding(5) var<storage, read> mask: array<u32>;
// Slots are bindings 6, 7 and 8, and read through textures 12, 13 and 14.
@group(0) @binding(10) var grad_texels: texture_storage_2d<rgba32float, read>;
@group(0) @binding(11) var weight_texels: texture_storage_2d<rgba32float, read>;

fn stopped() -> bool {
    return totals[4] != 0u;
}

// Which of the four weights of quad i are kept.
fn kept(i: u32, mode: u32) -> vec4<bool> {
    if mode == FREE { return vec4<bool>(true); }
    let bits = mask[i / 8u] >> (i % 8u * 4u);
    return (vec4<u32>(bits) & vec4<u32>(1u, 2u, 4u, 8u)) != vec4<u32>(0u);
}

// What is stored: 0 for the pruned weights of a held mask.
fn hold(value: vec4<f32>, is_kept: vec4<bool>, mode: u32) -> vec4<f32> {
    if mode == HELD { return select(vec4<f32>(0.0), value, is_kept); }
    return value;
}
