// ELU: x above 0, else exp(x) - 1.   Clevert, Unterthiner & Hochreiter, 2015.
//#use ops/exp_less_one
fn activated(x: f32) -> f32 {
    if x > 0.0 { return x; }
    return exp_less_one(x);
}

fn slope(x: f32) -> f32 {
    if x > 0.0 { return 1.0; }
    return exp(x);
}
