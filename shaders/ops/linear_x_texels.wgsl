// The input x (inner, cols) of a linear layer in a texture.
//#use ops/texels
@group(0) @binding(4) var x: texture_storage_2d<rgba32float, read>;

fn x_quad(i: u32) -> vec4<f32> {
    return textureLoad(x, texel(i));
}
