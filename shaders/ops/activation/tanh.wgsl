// The hyperbolic tangent. Its slope is 4 e / (1 + e)^2 with e = exp(-2 |x|).
//#use ops/hyperbolic
fn activated(x: f32) -> f32 { return tanh_of(x); }

fn slope(x: f32) -> f32 {
    let e = exp(-2.0 * abs(x));
    return 4.0 * e / ((1.0 + e) * (1.0 + e));
}
