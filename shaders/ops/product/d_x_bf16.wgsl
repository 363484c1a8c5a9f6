// The input's gradient d_x (inner, cols) of a dense product as bf16 pairs, for the product before it to read; cols are a
// multiple of 8. Nothing is added to what is there.
//#use ops/bf16
@group(0) @binding(7) var<storage, read_write> d_x: array<vec4<u32>>;

fn before(i: u32) -> vec4<f32> {
    return vec4<f32>(0.0);
}

fn put(i: u32, value: array<vec4<f32>, 2>, both: bool) {
    d_x[i / 2u] = pairs(value[0], value[1]);
}
