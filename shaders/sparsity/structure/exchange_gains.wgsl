// exchange_gains_part, with magnitudes read from a buffer.
//#use sparsity/structure/exchange_gains_part
@group(0) @binding(5) var<storage, read> sizes: array<vec4<f32>>;

fn size_quad(i: u32) -> vec4<u32> {
    return bitcast<vec4<u32>>(sizes[i]);
}
