// Pooling reads textures, which software adapters do several times as fast.
//#use ops/texels
@group(0) @binding(2) var x: texture_storage_2d<rgba32float, read>;
@group(0) @binding(5) var winner: texture_storage_2d<rgba32uint, read>;
@group(0) @binding(6) var d_y: texture_storage_2d<rgba32float, read>;

fn x_at(i: u32) -> vec4<f32> { return textureLoad(x, texel(i)); }
fn winner_at(i: u32) -> u32 {
    let four = textureLoad(winner, texel(i / 4u));
    let two = select(four.xy, four.zw, i % 4u >= 2u);
    return select(two.x, two.y, i % 2u == 1u);
}
fn d_y_at(i: u32) -> vec4<f32> { return textureLoad(d_y, texel(i)); }
