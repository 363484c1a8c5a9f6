// The input's gradient d_x (inner, cols) of a dense product as f32.
@group(0) @binding(7) var<storage, read_write> d_x: array<vec4<f32>>;

fn before(i: u32) -> vec4<f32> {
    return d_x[i];
}

// Two quads of columns, or the first of them.
fn put(i: u32, value: array<vec4<f32>, 2>, both: bool) {
    d_x[i] = value[0];
    if both { d_x[i + 1u] = value[1]; }
}
