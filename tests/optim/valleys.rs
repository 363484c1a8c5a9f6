//! The synthetic functions of the diffGrad paper, and Adam and diffGrad in plain f64.   Dubey et al., 2020, Section V.

/// A function of one number: its value and its derivative.
pub struct Valley {
    pub value: fn(f64) -> f64,
    pub slope: fn(f64) -> f64,
}

pub const F1: Valley = Valley {
    value: |x| if x <= 0.0 { (x + 0.3).powi(2) } else { (x - 0.2).powi(2) + 0.05 },
    slope: |x| if x <= 0.0 { 2.0 * (x + 0.3) } else { 2.0 * (x - 0.2) },
};

pub const F2: Valley = Valley {
    value: |x| if x <= -0.9 { -40.0 * x - 35.15 } else { x.powi(3) + x * (8.0 * x).sin() + 0.85 },
    slope: |x| {
        if x <= -0.9 { -40.0 } else { 3.0 * x * x + (8.0 * x).sin() + 8.0 * x * (8.0 * x).cos() }
    },
};

/// `F2` with the derivative of the authors' notebook, which lacks a factor of 8.
pub const F2_NOTEBOOK: Valley = Valley {
    value: F2.value,
    slope: |x| if x <= -0.9 { -40.0 } else { 3.0 * x * x + (8.0 * x).sin() + x * (8.0 * x).cos() },
};

pub const F3: Valley = Valley {
    value: |x| match x {
        x if x <= -0.5 => x * x,
        x if x <= -0.4 => 0.75 + x,
        x if x <= 0.0 => -7.0 * x / 8.0,
        x if x <= 0.4 => 7.0 * x / 8.0,
        x if x <= 0.5 => 0.75 - x,
        x => x * x,
    },
    slope: |x| match x {
        x if x <= -0.5 => 2.0 * x,
        x if x <= -0.4 => 1.0,
        x if x <= 0.0 => -7.0 / 8.0,
        x if x <= 0.4 => 7.0 / 8.0,
        x if x <= 0.5 => -1.0,
        x => 2.0 * x,
    },
};

#[derive(Clone, Copy, PartialEq)]
pub enum Rule {
    Adam,
    DiffGrad,
    /// With the last gradient under another name of the present one.
    DiffGradBug,
}

pub const UPDATES: u32 = 299;
pub const START: f64 = -1.0;

/// The `x` after each update, from -1 on, with `beta1 = .95`.
pub fn descend(rule: Rule, rate: f64, valley: &Valley) -> Vec<f64> {
    let (beta1, beta2, epsilon) = (0.95, 0.999, 1e-8);
    let (mut x, mut m, mut v, mut last) = (START, 0.0, 0.0, 0.0f64);
    let step = |t: u32| {
        let g = (valley.slope)(x);
        m = beta1 * m + (1.0 - beta1) * g;
        v = beta2 * v + (1.0 - beta2) * g * g;
        let (c1, c2) = (1.0 - f64::powi(beta1, t as i32), 1.0 - f64::powi(beta2, t as i32));
        if rule == Rule::DiffGradBug && t > 1 {
            last = g;
        }
        x -= match rule {
            Rule::Adam => rate / c1 * m / (v.sqrt() / c2.sqrt() + epsilon),
            _ => rate * c2.sqrt() / c1 / (1.0 + (-(last - g).abs()).exp()) * m / (v.sqrt() + epsilon),
        };
        last = g;
        x
    };
    (1..=UPDATES).map(step).collect()
}
