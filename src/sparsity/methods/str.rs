//! STR: each layer learns the threshold below which it prunes.
//!
//! Kusupati et al., 2020, "Soft threshold weight reparameterization for learnable sparsity". The forward pass sees
//! `sign(w) max(|w| - sigmoid(s), 0)`; s, one number a layer, is learned by plain SGD with the run's learning rate and a
//! decay of its own, which draws it from far below 0 towards 0. There is no target: what sparsity comes out is reported.
//! The paper starts at s = -3200 and decays by 2.25e-5 over 100 epochs of ImageNet; the defaults are for shorter runs.

use toml::Value;

use super::{Aim, Entry, Heed, Method, Start, constant, recorded_at};
use crate::error::Error;
use crate::param::MaskMode;
use crate::recipe::{Distribution, PruneSchedule};
use crate::sparsity::update::threshold::Rule;
use crate::sparsity::{Length, Stage};

pub const ENTRY: Entry = Entry {
    name: "str",
    about: "soft thresholds, learned layer by layer; the sparsity comes out, and is not asked for",
    paper: "Kusupati et al. 2020",
    order: &[Stage::Masks, Stage::Forward, Stage::Backward, Stage::Update],
    aim: Aim::Learned,
    start: Start::Dense,
    distribution: Distribution::Uniform,
    schedule: Heed::Every,
    heeds_init: false,
    settings: || vec![("start", Value::Float(-10.0)), ("decay", Value::Float(2e-3))],
    unheeded: |_| Vec::new(),
    build: |recipe, settings| {
        constant(recipe, "str", "learns its sparsity", 1.0)?;
        if let Some(rule) = recipe.rules.iter().find(|rule| rule.target.is_some()) {
            let error = Error::usage("method `str` learns its sparsity: a rule cannot give a target")
                .at(format!("match = \"{}\"", rule.matches));
            return Err(error.hint("dense = true for a layer that shall not be pruned"));
        }
        let rule = Rule { start: settings.f32("start")?, decay: settings.f32("decay")? };
        if !(rule.decay >= 0.0) {
            return Err(settings.wrong("decay", "a number of at least 0"));
        }
        Ok(Some(Box::new(Str { schedule: recipe.schedule.clone(), rule })))
    },
};

struct Str {
    schedule: PruneSchedule,
    rule: Rule,
}

impl Method for Str {
    fn mask_mode(&self) -> MaskMode {
        MaskMode::Flowing
    }
    /// When masks are recorded; how sparse they are then is not known before.
    fn due(&self, step: u64, length: Length) -> Option<f64> {
        recorded_at(&self.schedule, 0.0, step, length)
    }
    fn sparsity(&self, _: u64, target: f64, _: Length) -> f64 {
        target
    }
    fn threshold(&self) -> Option<Rule> {
        Some(self.rule)
    }
}
