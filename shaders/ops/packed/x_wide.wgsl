// The input x (inner, cols) of a product as f32: a load is one quad of columns.
fn x_load(i: u32) -> array<vec4<f32>, PER> {
    return array<vec4<f32>, PER>(x_quad(i));
}
