// The values of a packed weight of blocks in a texture, four a texel. Needs HEIGHT % 4 == 0.
//#use ops/texels
@group(0) @binding(10) var values: texture_storage_2d<rgba32float, read>;

fn entry_values(entry: u32) -> array<f32, HEIGHT> {
    var all: array<f32, HEIGHT>;
    for (var r = 0u; r < HEIGHT; r += 4u) {
        let quad = textureLoad(values, texel((entry * HEIGHT + r) / 4u));
        all[r] = quad.x; all[r + 1u] = quad.y; all[r + 2u] = quad.z; all[r + 3u] = quad.w;
    }
    return all;
}
