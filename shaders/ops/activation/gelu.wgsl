// GELU: x P(x), with P the normal distribution, P(x) = (1 + erf(x / sqrt 2)) / 2; its slope is P(x) + x p(x) with the
// density p.   Hendrycks & Gimpel, 2016.

// 1 - erf(z) for z >= 0, within 1.5e-7: Abramowitz & Stegun, 7.1.26.
fn erfc_of(z: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.3275911 * z);
    let sum = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    return sum * exp(-z * z);
}

fn distribution(x: f32) -> f32 {
    let tail = 0.5 * erfc_of(abs(x) * 0.70710678);
    return select(1.0 - tail, tail, x < 0.0);
}

fn activated(x: f32) -> f32 { return x * distribution(x); }

fn slope(x: f32) -> f32 { return distribution(x) + x * 0.39894228 * exp(-0.5 * x * x); }
