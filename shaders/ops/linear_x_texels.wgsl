// The input x (inner, cols) of a linear layer in a texture.
//#use ops/texels
@group(0) @binding(4) var x: texture_2d<f32>;

fn x_quad(i: u32) -> vec4<f32> {
    return textureLoad(x, texel(i), 0);
}
