// A tensor mirrored in an rgba32float texture of 1024 texels a row: quad i is texel (i % 1024, i / 1024).
// Software adapters read storage buffers one lane and one number at a time; a texel comes about ten times as fast, of a
// storage texture, which needs neither level nor sampler, twice as fast as of a sampled one.
const TEXELS = 1024u; // a row of the texture

fn texel(i: u32) -> vec2<u32> {
    return vec2<u32>(i % TEXELS, i / TEXELS);
}
