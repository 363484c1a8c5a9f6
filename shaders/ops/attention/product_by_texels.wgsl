// The products of attention read textures, which software adapters do several times as fast.
//#use ops/texels
@group(0) @binding(2) var a: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var b: texture_storage_2d<rgba32float, read>;

fn a_quad(i: u32) -> vec4<f32> { return textureLoad(a, texel(i)); }
fn b_quad(i: u32) -> vec4<f32> { return textureLoad(b, texel(i)); }
