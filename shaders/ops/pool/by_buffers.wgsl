// Pooling reads buffers.
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> winner: array<u32>;
@group(0) @binding(6) var<storage, read> d_y: array<vec4<f32>>;

fn x_at(i: u32) -> vec4<f32> { return x[i]; }
fn winner_at(i: u32) -> u32 { return winner[i]; }
fn d_y_at(i: u32) -> vec4<f32> { return d_y[i]; }
