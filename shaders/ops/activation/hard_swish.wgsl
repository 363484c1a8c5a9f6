// Hard-swish: x ReLU6(x + 3) / 6: 0 up to -3, x from 3 on, and x (x + 3) / 6 between.   Howard et al., 2019.
fn activated(x: f32) -> f32 {
    if x <= -3.0 { return 0.0; }
    if x >= 3.0 { return x; }
    return x * (x + 3.0) / 6.0;
}

fn slope(x: f32) -> f32 {
    if x <= -3.0 { return 0.0; }
    if x >= 3.0 { return 1.0; }
    return (2.0 * x + 3.0) / 6.0;
}
