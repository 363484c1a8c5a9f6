// 1 / (1 + exp(-x)), without an infinity for x far below 0.
fn sigmoid(x: f32) -> f32 {
    let e = exp(-abs(x));
    return select(1.0, e, x < 0.0) / (1.0 + e);
}
