// The input x (inner, cols) of a product as f32 in a texture: a load is one quad of columns.
//#use ops/texels
@group(0) @binding(4) var x: texture_storage_2d<rgba32float, read>;

const PER = 1u; // quads of a load

fn x_load(i: u32) -> array<vec4<f32>, PER> {
    return array<vec4<f32>, PER>(textureLoad(x, texel(i)));
}
