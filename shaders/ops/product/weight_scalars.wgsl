// The weight (rows, taps, channels) of a layer for any number of channels: four scalar reads.
@group(0) @binding(2) var<storage, read> weight: array<f32>;

fn weight_at(row: u32, k: u32, end: u32) -> f32 {
    let w = weight[row * args.inner + min(k, args.inner - 1u)];
    return select(0.0, w, k < end);
}

// Numbers first .. first + 4 of a row, zeros from `end` on; the row is clamped to the matrix.
fn weight_quad(row: u32, first: u32, end: u32) -> vec4<f32> {
    let r = min(row, args.rows - 1u);
    return vec4<f32>(weight_at(r, first, end), weight_at(r, first + 1u, end), weight_at(r, first + 2u, end),
                     weight_at(r, first + 3u, end));
}
