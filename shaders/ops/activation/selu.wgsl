// SELU: ELU with ALPHA as its lower end, times SCALE.   Klambauer et al., 2017.
//#use ops/exp_less_one
const SCALE = 1.0507009873554805;
const ALPHA = 1.6732632423543772;

fn activated(x: f32) -> f32 {
    if x > 0.0 { return SCALE * x; }
    return SCALE * ALPHA * exp_less_one(x);
}

fn slope(x: f32) -> f32 {
    if x > 0.0 { return SCALE; }
    return SCALE * ALPHA * exp(x);
}
