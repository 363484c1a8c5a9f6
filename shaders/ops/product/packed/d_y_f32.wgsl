// The output's gradient d_y (rows, cols) of a packed product as f32: a load is one quad of columns.
fn d_y_load(i: u32) -> array<vec4<f32>, PER> {
    return array<vec4<f32>, PER>(d_y_quad(i));
}
