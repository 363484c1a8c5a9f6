// The hyperbolic tangent: (1 - e) / (1 + e) with e = exp(-2 |x|), which never overflows, as a quotient of sinh and cosh does on
// some devices. Near 0 by its series, whose first term left out is 0.022 x^8 of the result.
fn tanh_of(x: f32) -> f32 {
    let square = x * x;
    if square < 0.015625 { return x * (1.0 - square * (1.0 / 3.0 - square * (2.0 / 15.0 - square * (17.0 / 315.0)))); }
    let e = exp(-2.0 * abs(x));
    let size = (1.0 - e) / (1.0 + e);
    return select(size, -size, x < 0.0);
}
