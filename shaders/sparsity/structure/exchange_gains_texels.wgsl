// exchange_gains_part, with magnitudes read through a texture: for software adapters.
//#use sparsity/structure/exchange_gains_part
//#use ops/texels
@group(0) @binding(5) var sizes_texels: texture_storage_2d<rgba32float, read>;

fn size_quad(i: u32) -> vec4<u32> {
    return bitcast<vec4<u32>>(textureLoad(sizes_texels, texel(i)));
}
