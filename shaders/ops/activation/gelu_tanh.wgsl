// GELU by its approximation x (1 + tanh(z)) / 2 with z = sqrt(2 / pi) (x + 0.044715 x^3), which is x s(2 z) with the sigmoid s;
// its slope is s(2 z) + 2 x s(2 z) s(-2 z) z'.   Hendrycks & Gimpel, 2016, section 2.
//#use ops/logistic
const ROOT = 0.79788456; // sqrt(2 / pi)
const CUBE = 0.044715;
// Beyond, s(2 z) is 0 or 1 in f32, and x^3 may overflow.
const EDGE = 12.0;

fn twice_z(x: f32) -> f32 { return 2.0 * ROOT * x * (1.0 + CUBE * x * x); }

fn activated(x: f32) -> f32 { return x * sigmoid_of(twice_z(clamp(x, -EDGE, EDGE))); }

fn slope(x: f32) -> f32 {
    let near = clamp(x, -EDGE, EDGE);
    let s = sigmoid_of(twice_z(near));
    return s + near * s * (1.0 - s) * 2.0 * ROOT * (1.0 + 3.0 * CUBE * near * near);
}
