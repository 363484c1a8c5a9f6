// The weight (rows, taps, channels) of a layer in a texture, for any number of channels: a quad lies in one texel or in two.
//#use ops/texels
@group(0) @binding(2) var weight: texture_storage_2d<rgba32float, read>;

// Numbers first .. first + 4 of a row; from `end` on whatever follows, which strips do not use.
fn weight_quad(row: u32, first: u32, end: u32) -> vec4<f32> {
    let at = min(row, args.rows - 1u) * args.inner + min(first, args.inner - 1u);
    let last = (args.rows * args.inner - 1u) / 4u;
    let a = textureLoad(weight, texel(at / 4u));
    let b = textureLoad(weight, texel(min(at / 4u + 1u, last)));
    let even = select(a, vec4<f32>(a.zw, b.xy), at % 4u >= 2u);
    return select(even, vec4<f32>(even.yzw, select(b.x, b.z, at % 4u >= 2u)), at % 2u == 1u);
}
