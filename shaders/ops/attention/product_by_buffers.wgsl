// The products of attention read buffers.
@group(0) @binding(2) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> b: array<vec4<f32>>;

fn a_quad(i: u32) -> vec4<f32> { return a[i]; }
fn b_quad(i: u32) -> vec4<f32> { return b[i]; }
