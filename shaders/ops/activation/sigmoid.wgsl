// Sigmoid: s(x) = 1 / (1 + exp(-x)); its slope is s(x) s(-x) = e / (1 + e)^2 with e = exp(-|x|), which never overflows.
//#use ops/logistic
fn activated(x: f32) -> f32 { return sigmoid_of(x); }

fn slope(x: f32) -> f32 {
    let e = exp(-abs(x));
    return e / ((1.0 + e) * (1.0 + e));
}
