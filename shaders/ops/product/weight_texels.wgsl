// The weight (rows, inner) of a linear layer in a texture, read four inputs at a time. Needs inner % 4 == 0.
//#use ops/texels
@group(0) @binding(2) var weight: texture_storage_2d<rgba32float, read>;

// weight[row, 4 * quad .. 4 * quad + 4]; both coordinates are clamped to the matrix.
fn weight_quad(row: u32, quad: u32) -> vec4<f32> {
    let quads = args.inner / 4u;
    return textureLoad(weight, texel(min(row, args.rows - 1u) * quads + min(quad, quads - 1u)));
}
