// A tile over the whole depth: its sums are results.
fn slices() -> u32 { return 1u; }

fn leave(line: u32, quad: u32, value: vec4<f32>, slice: u32) {
    finish(line, quad, value);
}
