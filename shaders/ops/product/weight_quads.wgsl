// The weight (rows, taps, channels) of a layer, read four channels at a time. Needs channels % 4 == 0.
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;

// Numbers first .. first + 4 of a row, of those before `end`; row and numbers are clamped to what there is.
fn weight_quad(row: u32, first: u32, end: u32) -> vec4<f32> {
    let quads = args.inner / 4u;
    return weight[min(row, args.rows - 1u) * quads + min(first / 4u, quads - 1u)];
}
