//! Dynamic sparse training at constant sparsity: every so often some weights are dropped and as many grown.
//!
//! What RigL, SET and SNFS share. Updates fall on the schedule's grid, from its begin up to, not including, its end.

use crate::error::Result;
use crate::param::MaskMode;
use crate::recipe::{PruneSchedule, Settings, Sparsity};
use crate::sparsity::methods::Method;
use crate::sparsity::update::growth::{By, Growth, Rounding, Span};
use crate::sparsity::{Length, score::mean};

pub struct Dynamic {
    target: f64,
    schedule: PruneSchedule,
    pub growth: Growth,
    /// Whether the optimizer rests on the step of an update.
    rests: bool,
    /// How fast the running means of the gradient forget, where weights grow by them.
    pub decay: f32,
}

impl Dynamic {
    pub fn read(recipe: &Sparsity, settings: &Settings, rests: bool) -> Result<Self> {
        let schedule = recipe.schedule.clone();
        let growth = Growth::read(settings, &schedule, Span::Schedule(schedule.clone()), Rounding::Down)?;
        Ok(Self { target: recipe.target(), schedule, growth, rests, decay: 0.9 })
    }
}

impl Method for Dynamic {
    fn mask_mode(&self) -> MaskMode {
        MaskMode::Held
    }
    fn due(&self, step: u64, length: Length) -> Option<f64> {
        let (_, end) = self.schedule.bounds(length.steps, length.steps_per_epoch);
        let due = step < end && self.schedule.updates_at(step, length.steps, length.steps_per_epoch);
        due.then_some(self.target)
    }
    fn sparsity(&self, _: u64, target: f64, _: Length) -> f64 {
        target
    }
    fn growth(&self) -> Option<&Growth> {
        Some(&self.growth)
    }
    fn rests(&self, step: u64, length: Length) -> bool {
        self.rests && self.due(step, length).is_some()
    }
    fn mean(&self) -> Option<mean::Rule> {
        (self.growth.by == By::Momentum).then_some(mean::Rule { decay: self.decay, share: 1.0 - self.decay })
    }
}
