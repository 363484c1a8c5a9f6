// Hard sigmoid: 0 up to -3, 1 from 3 on, and (x + 3) / 6 between.   Howard et al., 2019.
fn activated(x: f32) -> f32 {
    if x <= -3.0 { return 0.0; }
    if x >= 3.0 { return 1.0; }
    return (x + 3.0) / 6.0;
}

fn slope(x: f32) -> f32 { return select(0.0, 1.0 / 6.0, x > -3.0 && x < 3.0); }
