// The weight (rows, inner) of a linear layer for any `inner`: four scalar reads, zeros past the row's end.
@group(0) @binding(2) var<storage, read> weight: array<f32>;

fn weight_at(row: u32, k: u32) -> f32 {
    let w = weight[row * args.inner + min(k, args.inner - 1u)];
    return select(0.0, w, k < args.inner);
}

// weight[row, 4 * quad .. 4 * quad + 4]; the row is clamped to the matrix.
fn weight_quad(row: u32, quad: u32) -> vec4<f32> {
    let r = min(row, args.rows - 1u);
    let k = 4u * quad;
    return vec4<f32>(weight_at(r, k), weight_at(r, k + 1u), weight_at(r, k + 2u), weight_at(r, k + 3u));
}
