// The input x (inner, cols) of a linear layer in a storage buffer.
@group(0) @binding(4) var<storage, read> x: array<vec4<f32>>;

fn x_quad(i: u32) -> vec4<f32> {
    return x[i];
}
