// SiLU, or swish: x s(x), with s the sigmoid; its slope is s(x) (1 + x (1 - s(x))).   Elfwing, Uchibe & Doya, 2017.
//#use ops/logistic
fn activated(x: f32) -> f32 { return x * sigmoid_of(x); }

fn slope(x: f32) -> f32 {
    let s = sigmoid_of(x);
    return s * (1.0 + x * (1.0 - s));
}
