// Which sample of a batch another one is mixed with, and how much of itself is left; the host writes it before each batch.
struct Mix {
    share: f32, // from 1/2 to 1; 1 where nothing is mixed
    shift: u32, // below the number of samples
}
@group(0) @binding(17) var<uniform> mix_of: Mix;

// The column so many further on, among those with a sample.
fn partner(col: u32) -> u32 {
    return (col + mix_of.shift) % max(step.live, 1u);
}
