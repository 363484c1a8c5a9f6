// The output's gradient d_y (rows, cols) of a packed product as bf16 in a storage buffer (ops/narrow): a load is two quads.
@group(0) @binding(6) var<storage, read> d_y: array<vec4<u32>>;

fn d_y_load(i: u32) -> array<vec4<f32>, PER> {
    let pairs = d_y[i];
    return array<vec4<f32>, PER>(
        bitcast<vec4<f32>>(pairs << vec4<u32>(16u)), bitcast<vec4<f32>>(pairs & vec4<u32>(0xffff0000u)));
}
