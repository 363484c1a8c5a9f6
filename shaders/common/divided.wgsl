// Division of integers by quotients of floats, which many devices compute several times as fast: software adapters divide
// integers one lane after another. The first quotient may be off by as much as large numbers are rounded, the second, of
// what is left, by one at most, which is set right.

// a / b, rounded down, for a below 2^31 and b above 0.
fn divided(a: u32, b: u32) -> u32 {
    let near = u32(f32(a) / f32(b));
    let q = near + u32(i32(floor(f32(i32(a - near * b)) / f32(b))));
    let rest = i32(a - q * b);
    return q - select(0u, 1u, rest < 0) + select(0u, 1u, rest >= i32(b));
}
