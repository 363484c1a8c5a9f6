// The output's gradient d_y (rows, cols) of a linear layer in a storage buffer.
@group(0) @binding(6) var<storage, read> d_y: array<vec4<f32>>;

fn d_y_quad(i: u32) -> vec4<f32> {
    return d_y[i];
}
