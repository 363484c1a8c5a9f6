//! Rewinding: after a prune all parameters go back to their values of an early step, and training starts over there.
//!
//! The values of step 0 are a function of the seed. Those of a later step are kept on the host, all of them, and are
//! state of the run: checkpoints hold them as `fc1.weight.early`.

use super::session::Session;
use crate::error::Result;
use crate::param::{Companion, Data, EARLY, Like, Storage};
use crate::sparsity::{Length, Pruner};

impl Session {
    /// The step of the training schedule that `step` repeats, and the length of that course.
    pub(super) fn clock(&self, step: u64) -> (u64, Length) {
        let own = self.shrink_clock(step).unwrap_or((step, self.length));
        self.pruner.as_ref().map_or(own, |pruner| pruner.clock(step))
    }

    /// The learning rate of the next step.
    pub fn learning_rate(&self) -> f64 {
        self.rate_at(self.step.min(self.length.steps.saturating_sub(1)))
    }
    pub(super) fn rate_at(&self, step: u64) -> f64 {
        let (own, course) = self.clock(step);
        let factor = self.phases.factor((own, course));
        let factor = factor * self.shrink_factor(step);
        self.recipe.optim.lr.at(own, course.steps, course.steps_per_epoch) * factor
    }

    /// The step that the method rewinds to.
    pub(super) fn rewinds_to(&self) -> Option<u64> {
        self.pruner.as_ref().and_then(Pruner::rewind)
    }

    /// Updates that the optimizer has made in this course before `step`.
    pub(super) fn updates_before(&self, step: u64) -> u64 {
        if self.rewinds_to().is_some() || self.shrinking.is_some() {
            return self.clock(step).0;
        }
        let rests = |step: &u64| self.pruner.as_ref().is_some_and(|pruner| pruner.rests(*step));
        let resets = |step: &u64| self.pruner.as_ref().is_some_and(|pruner| pruner.resets(*step));
        let first = (0..step).rev().find(resets).unwrap_or(0);
        (first..step).filter(|step| !rests(step)).count() as u64
    }

    /// Called where `self.step` has just been reached: takes the values that will be gone back to, and sets the
    /// number of updates back where a course starts over.
    pub(super) fn reach(&mut self) -> Result<()> {
        if self.shrinking.is_some() {
            self.updates = self.clock(self.step).0;
        }
        let Some(early) = self.rewinds_to() else { return Ok(()) };
        if early > 0 && early == self.step {
            for param in self.model.params.iter_mut() {
                let data = Data::Host(param.read()?);
                param.part_with(&[EARLY]);
                param.companions.push(Companion { name: EARLY, like: Like::Dense, data });
            }
        }
        self.updates = self.clock(self.step).0;
        Ok(())
    }

    /// After a mask update, if the method says so: kept weights and biases go back, slots are 0.
    pub(super) fn rewind(&self) -> Result<()> {
        if self.rewinds_to().is_none() {
            return Ok(());
        }
        for param in &self.model.params {
            let early = param.companion(EARLY).map(Companion::read_f32).transpose()?;
            let mut values = early.unwrap_or_else(|| param.initial_values());
            if matches!(param.storage, Storage::Masked(_)) {
                let mask = param.read_mask()?;
                let pruned = |i: usize| mask[i / 32] >> (i % 32) & 1 == 0;
                values.iter_mut().enumerate().filter(|(i, _)| pruned(*i)).for_each(|(_, value)| *value = 0.0);
            }
            param.write(&values)?;
            param.clear_slots()?;
        }
        Ok(())
    }
}
