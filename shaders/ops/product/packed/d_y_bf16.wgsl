// The output's gradient d_y (rows, cols) of a packed product as bf16 in a texture (ops/narrow): a load is two quads.
//#use ops/texels
@group(0) @binding(6) var d_y: texture_storage_2d<rgba32uint, read>;

fn d_y_load(i: u32) -> array<vec4<f32>, PER> {
    let pairs = textureLoad(d_y, texel(i));
    return array<vec4<f32>, PER>(
        bitcast<vec4<f32>>(pairs << vec4<u32>(16u)), bitcast<vec4<f32>>(pairs & vec4<u32>(0xffff0000u)));
}
