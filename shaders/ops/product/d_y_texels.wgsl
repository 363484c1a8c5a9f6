// The output's gradient d_y (rows, cols) of a linear layer in a texture.
//#use ops/texels
@group(0) @binding(6) var d_y: texture_storage_2d<rgba32float, read>;

fn d_y_quad(i: u32) -> vec4<f32> {
    return textureLoad(d_y, texel(i));
}
