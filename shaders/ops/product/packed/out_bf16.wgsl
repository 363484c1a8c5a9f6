// The result of a packed product that reads bf16: as f32, or as bf16 for the next product to read (ops/narrow). A load's
// columns are two quads, which are two quads of f32 and one of bf16 pairs.
//#use ops/bf16
@group(0) @binding(5) var<storage, read_write> out: array<vec4<u32>>;

override NARROW = false;

fn put(i: u32, value: array<vec4<f32>, PER>) {
    if NARROW {
        out[i] = pairs(value[0], value[1]);
    } else {
        out[2u * i] = bitcast<vec4<u32>>(value[0]);
        out[2u * i + 1u] = bitcast<vec4<u32>>(value[1]);
    }
}
