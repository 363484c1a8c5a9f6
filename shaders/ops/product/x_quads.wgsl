// The input x (inner, cols) of a product as f32 in a storage buffer: a load is one quad of columns.
@group(0) @binding(4) var<storage, read> x: array<vec4<f32>>;

const PER = 1u; // quads of a load

fn x_load(i: u32) -> array<vec4<f32>, PER> {
    return array<vec4<f32>, PER>(x[i]);
}
