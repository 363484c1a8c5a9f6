//! Top-KAST: the forward pass sees the largest magnitudes, the backward pass trains these and some more.
//!
//! Jayakumar et al., 2020, "Top-KAST: Top-K always sparse training". Of each layer the top D by magnitude are kept, the
//! top D + M are trained; the rest keeps its value. Both are chosen anew every so many steps. An exploration loss,
//! `lambda * (sum over kept r(w) + 1/D * sum over the others that are trained r(w))`, pulls weights to 0, those that are
//! not kept the more: they have to earn their place. `r` is the square or, as in the paper's text, the absolute value.

use toml::Value;

use super::{Aim, Entry, Heed, Method, Start, constant, recorded_at};
use crate::param::MaskMode;
use crate::recipe::{Distribution, PruneSchedule, unknown};
use crate::sparsity::update::shrink::Pull;
use crate::sparsity::{Length, Stage};

pub const ENTRY: Entry = Entry {
    name: "top-kast",
    about: "the largest magnitudes are seen, some more are trained; chosen anew every so often",
    paper: "Jayakumar et al. 2020",
    order: &[Stage::Masks, Stage::Forward, Stage::Backward, Stage::Update],
    aim: Aim::Asked,
    start: Start::Dense,
    distribution: Distribution::Uniform,
    schedule: Heed::Every,
    heeds_init: false,
    settings: || {
        vec![
            ("reach", Value::Float(0.1)),
            ("lambda", Value::Float(1e-4)),
            ("penalty", Value::String("square".into())),
        ]
    },
    unheeded: |_| Vec::new(),
    build: |recipe, settings| {
        constant(recipe, "top-kast", "keeps the same number of weights throughout", 1.0)?;
        let (reach, lambda) = (settings.f64("reach")?, settings.f32("lambda")?);
        if !(reach >= 0.0 && reach <= recipe.target() + 1e-9) {
            let most = format!("a share of the weights, from 0 up to the target, {}", recipe.target());
            return Err(settings.wrong("reach", &most));
        }
        if !(lambda >= 0.0) {
            return Err(settings.wrong("lambda", "a number of at least 0"));
        }
        // The derivative of the square is twice the weight.
        let (slope, signs) = match settings.text("penalty")? {
            "square" => (2.0, false),
            "abs" => (1.0, true),
            other => {
                return Err(settings.locate("penalty", unknown("penalty", other, ["square", "abs"])));
            }
        };
        let (schedule, target) = (recipe.schedule.clone(), recipe.target());
        Ok(Some(Box::new(TopKast { target, schedule, reach, strength: slope * lambda, signs })))
    },
};

struct TopKast {
    target: f64,
    schedule: PruneSchedule,
    reach: f64,
    /// Lambda times the slope of the penalty.
    strength: f32,
    signs: bool,
}

impl Method for TopKast {
    fn mask_mode(&self) -> MaskMode {
        MaskMode::Latent
    }
    fn due(&self, step: u64, length: Length) -> Option<f64> {
        recorded_at(&self.schedule, self.target, step, length)
    }
    fn sparsity(&self, _: u64, target: f64, _: Length) -> f64 {
        target
    }
    fn backward_set(&self) -> Option<f64> {
        Some(self.reach)
    }
    fn pull(&self, density: f64) -> Option<Pull> {
        let (inside, signs) = (self.strength, self.signs);
        let outside = (f64::from(inside) / density) as f32;
        (inside > 0.0).then_some(Pull { inside, outside, signs })
    }
}
