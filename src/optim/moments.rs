//! What Adam and its kin share: the settings of two running means, and the corrections for their start at 0.

use toml::Value;

use super::rule::{at_least_zero, below_one, epsilon};
use crate::error::Result;
use crate::ops::Step;
use crate::recipe::Settings;

/// Running means of the gradient (`beta1`) and of its square (`beta2`).
#[derive(Clone, Copy)]
pub(super) struct Moments {
    pub beta1: f32,
    pub beta2: f32,
    pub epsilon: f32,
    pub weight_decay: f32,
}

impl Moments {
    /// The settings with everybody's defaults; weight decay has its own.
    pub fn settings(weight_decay: f64) -> Vec<(&'static str, Value)> {
        vec![
            ("beta1", Value::Float(0.9)),
            ("beta2", Value::Float(0.999)),
            ("epsilon", Value::Float(1e-8)),
            ("weight_decay", Value::Float(weight_decay)),
        ]
    }

    pub fn read(settings: &Settings) -> Result<Self> {
        Ok(Self {
            beta1: below_one(settings, "beta1")?,
            beta2: below_one(settings, "beta2")?,
            epsilon: epsilon(settings)?,
            weight_decay: at_least_zero(settings, "weight_decay")?,
        })
    }

    /// For checks: everybody's defaults, and enough weight decay to be seen.
    pub fn sample() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01 }
    }

    /// `1 - beta^t` in f64: f32 loses half its digits at small t and beta near 1.
    pub fn corrected(&self, step: Step) -> Step {
        let correction = |beta: f32| (1.0 - (beta as f64).powf(step.update as f64)) as f32;
        Step { correction1: correction(self.beta1), correction2: correction(self.beta2), ..step }
    }
}
