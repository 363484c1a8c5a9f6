// exp(x) - 1 for x up to 0; near 0 by the series, whose first term left out is x^5 / 720 of the result.
fn exp_less_one(x: f32) -> f32 {
    if x > -0.1 { return x * (1.0 + x / 2.0 * (1.0 + x / 3.0 * (1.0 + x / 4.0 * (1.0 + x / 5.0)))); }
    return exp(x) - 1.0;
}
