//! SR-STE and plain STE: the forward pass sees N of every M, the gradient moves all weights.
//!
//! Zhou et al., 2021, "Learning N:M fine-grained structured sparse neural networks from scratch", equations 4 and 7.
//! SR-STE adds `lambda (1 - mask) weight` to the gradient; with `lambda = 0` it is plain straight-through.

use toml::Value;

use super::{Aim, Entry, Heed, Method, Start};
use crate::param::MaskMode;
use crate::recipe::{Distribution, PruneSchedule};
use crate::sparsity::phases::{Phase, Phases};
use crate::sparsity::structure::groups::Gate;
use crate::sparsity::update::shrink::Pull;
use crate::sparsity::{Length, Stage};

const ORDER: &[Stage] = &[Stage::Masks, Stage::Forward, Stage::Backward, Stage::Update];

pub const SR_STE: Entry = Entry {
    name: "sr-ste",
    about: "N:M chosen anew at every step; gradients reach all weights, and pruned ones are pulled to 0",
    paper: "Zhou et al. 2021",
    order: ORDER,
    aim: Aim::Asked,
    start: Start::Dense,
    distribution: Distribution::Uniform,
    schedule: Heed::Every,
    heeds_init: false,
    settings: || {
        let mut all = Phases::settings(0.0, 0.0);
        all.push(("lambda", Value::Float(2e-4)));
        all
    },
    unheeded: |_| Vec::new(),
    build: |recipe, settings| {
        let lambda = settings.f32("lambda")?;
        if !(lambda >= 0.0) {
            return Err(settings.wrong("lambda", "a number of at least 0"));
        }
        let (schedule, phases) = (recipe.schedule.clone(), Phases::read(settings)?);
        Ok(Some(Box::new(StraightThrough { target: recipe.target(), schedule, phases, lambda })))
    },
};

pub const STE: Entry = Entry {
    name: "ste",
    about: "N:M chosen anew at every step; gradients reach all weights",
    paper: "Bengio et al. 2013; as in Zhou et al. 2021",
    order: ORDER,
    aim: Aim::Asked,
    start: Start::Dense,
    distribution: Distribution::Uniform,
    schedule: Heed::Every,
    heeds_init: false,
    settings: || Phases::settings(0.0, 0.0),
    unheeded: |_| Vec::new(),
    build: |recipe, settings| {
        let (schedule, phases) = (recipe.schedule.clone(), Phases::read(settings)?);
        Ok(Some(Box::new(StraightThrough { target: recipe.target(), schedule, phases, lambda: 0.0 })))
    },
};

struct StraightThrough {
    target: f64,
    schedule: PruneSchedule,
    phases: Phases,
    lambda: f32,
}

impl Method for StraightThrough {
    fn mask_mode(&self) -> MaskMode {
        MaskMode::Flowing
    }
    fn due(&self, step: u64, length: Length) -> Option<f64> {
        super::recorded_at(&self.schedule, self.target, step, length)
    }
    fn sparsity(&self, _: u64, target: f64, _: Length) -> f64 {
        target
    }
    fn frozen_from(&self, length: Length) -> Option<u64> {
        self.phases.frozen_from(length)
    }
    fn gate(&self, step: u64, length: Length, keep: usize, of: usize) -> Option<Gate> {
        let keep = if self.phases.at(step, length) == Phase::Dense { of } else { keep };
        Some(Gate { keep: keep as u32, group: of as u32, decay: 0.0 })
    }
    fn pull(&self, _: f64) -> Option<Pull> {
        (self.lambda > 0.0).then_some(Pull { inside: 0.0, outside: self.lambda, signs: false })
    }
}
