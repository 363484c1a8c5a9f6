// The weight (rows, taps, channels) of a layer in a texture, read four channels at a time. Needs channels % 4 == 0.
//#use ops/texels
@group(0) @binding(2) var weight: texture_storage_2d<rgba32float, read>;

// Numbers first .. first + 4 of a row, of those before `end`; row and numbers are clamped to what there is.
fn weight_quad(row: u32, first: u32, end: u32) -> vec4<f32> {
    let quads = args.inner / 4u;
    return textureLoad(weight, texel(min(row, args.rows - 1u) * quads + min(first / 4u, quads - 1u)));
}
