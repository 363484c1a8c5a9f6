// The sigmoid, 1 / (1 + exp(-x)): exp of a large number is infinite, and the quotient 0.
fn sigmoid_of(x: f32) -> f32 { return 1.0 / (1.0 + exp(-x)); }
