// Leaky ReLU: x above 0, else x / 100.   Maas, Hannun & Ng, 2013.
const LEAK = 0.01;

fn activated(x: f32) -> f32 { return select(LEAK * x, x, x > 0.0); }

fn slope(x: f32) -> f32 { return select(LEAK, 1.0, x > 0.0); }
