// The input x (inner, cols) of a product as bf16 in a storage buffer (ops/narrow): a load is two quads of columns.
@group(0) @binding(4) var<storage, read> x: array<vec4<u32>>;

const PER = 2u; // quads of a load

fn x_load(i: u32) -> array<vec4<f32>, PER> {
    let pairs = x[i];
    return array<vec4<f32>, PER>(
        bitcast<vec4<f32>>(pairs << vec4<u32>(16u)), bitcast<vec4<f32>>(pairs & vec4<u32>(0xffff0000u)));
}
