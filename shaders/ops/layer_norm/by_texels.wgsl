// Layer normalisation reads textures, which software adapters do several times as fast.
//#use ops/texels
@group(0) @binding(2) var x: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var d_y: texture_storage_2d<rgba32float, read>;
@group(0) @binding(6) var moments: texture_storage_2d<rgba32float, read>;

fn x_at(i: u32) -> vec4<f32> { return textureLoad(x, texel(i)); }
fn d_y_at(i: u32) -> vec4<f32> { return textureLoad(d_y, texel(i)); }
fn moments_at(i: u32) -> vec4<f32> { return textureLoad(moments, texel(i)); }
