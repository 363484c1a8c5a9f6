// The result of a packed product as f32: a load's columns are one quad.
@group(0) @binding(5) var<storage, read_write> out: array<vec4<f32>>;

fn put(i: u32, value: array<vec4<f32>, PER>) {
    out[i] = value[0];
}
