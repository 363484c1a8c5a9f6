// Division of integers by a quotient of floats, which many devices compute several times as fast. Below 2^24 that quotient
// is off by one at most, which is set right.

// a / b, rounded down, for a below 2^24 and b above 0.
fn divided(a: u32, b: u32) -> u32 {
    let near = u32(f32(a) / f32(b));
    let low = near - select(0u, 1u, near * b > a);
    return low + select(0u, 1u, a - low * b >= b);
}
