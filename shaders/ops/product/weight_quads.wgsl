// The weight (rows, inner) of a linear layer, read four inputs at a time. Needs inner % 4 == 0.
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;

// weight[row, 4 * quad .. 4 * quad + 4]; both coordinates are clamped to the matrix.
fn weight_quad(row: u32, quad: u32) -> vec4<f32> {
    let quads = args.inner / 4u;
    return weight[min(row, args.rows - 1u) * quads + min(quad, quads - 1u)];
}
