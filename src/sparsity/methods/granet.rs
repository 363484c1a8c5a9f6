//! GraNet: gradual pruning whose pruned weights may be revived: after each prune a little more is dropped, and as much
//! grown where the gradient is largest.
//!
//! Liu et al., 2021, "Sparse Training via Boosting Pruning Plasticity with Neuroregeneration", Algorithm 1. With
//! `init = 1` it is dense-to-sparse, with less sparse-to-sparse, from random masks. Regrowth goes on to the end of the
//! run unless `regrow_after = false`.
//!
//! `reference = true` counts as the published code does: updates come after every so many steps, the last prune is
//! left out, counts are truncated, and the threshold's own weight goes, too, so that the target is not quite met.

use toml::Value;

use super::{Entry, Heed, Method, Sizes, Start};
use crate::error::{Error, Result};
use crate::param::Flow;
use crate::recipe::{Distribution, PruneSchedule, polynomial};
use crate::sparsity::budget::{self, Rounding};
use crate::sparsity::growth::{self, By, Growth, Span};
use crate::sparsity::{Length, Stage};

pub const ENTRY: Entry = Entry {
    name: "granet",
    about: "gradual pruning, global or per tensor; each prune drops a little more and regrows it by gradient",
    paper: "Liu et al. 2021",
    order: &[Stage::Forward, Stage::Backward, Stage::Update, Stage::Masks],
    start: Start::Initial,
    distribution: Distribution::Global,
    schedule: Heed::All,
    heeds_init: false,
    settings: || {
        vec![
            Growth::setting(By::Gradient, 0.5, 0.005),
            ("regrow_after", Value::Boolean(true)),
            ("reference", Value::Boolean(false)),
        ]
    },
    build: |recipe, settings| {
        let schedule = recipe.schedule.clone();
        let growth = Growth::read(settings, &schedule, Span::Run, growth::Rounding::Up)?;
        if growth.by == By::Momentum {
            let error = Error::usage("method `granet` keeps no running mean of the gradient");
            return Err(settings.locate("growth", error).hint("by = \"gradient\" or \"random\""));
        }
        Ok(Some(Box::new(GraNet {
            initial: recipe.initial(),
            target: recipe.target,
            schedule,
            growth,
            regrow_after: settings.bool("regrow_after")?,
            reference: settings.bool("reference")?,
        })))
    },
};

struct GraNet {
    initial: f64,
    target: f64,
    schedule: PruneSchedule,
    growth: Growth,
    regrow_after: bool,
    reference: bool,
}

impl GraNet {
    fn every(&self, length: Length) -> u64 {
        self.schedule.every.period(length.steps, length.steps_per_epoch)
    }
    /// The first, the last and the current number of updates, as the published code counts them.
    fn turns(&self, step: u64, length: Length) -> (u64, u64, u64) {
        let (begin, end) = self.schedule.bounds(length.steps, length.steps_per_epoch);
        let every = self.every(length);
        (begin / every, end / every, (step + 1) / every)
    }
}

impl Method for GraNet {
    fn size(&mut self, _: Sizes, length: Length) -> Result<()> {
        let (first, last, _) = self.turns(0, length);
        if self.reference && last <= first + 1 {
            return Err(Error::usage("the published code leaves the last prune out, and there is no other")
                .at(format!("updates {first} to {last}, of {} steps each", self.every(length)))
                .hint("a smaller schedule.every, a later end, or reference = false"));
        }
        Ok(())
    }
    fn flow(&self) -> Flow {
        Flow::Held
    }

    fn due(&self, step: u64, length: Length) -> Option<f64> {
        let (begin, end) = self.schedule.bounds(length.steps, length.steps_per_epoch);
        let every = self.every(length);
        let due = if self.reference {
            let (first, last, now) = self.turns(step, length);
            (step + 1).is_multiple_of(every) && now >= first && (now < last || self.regrow_after)
        } else {
            let after = step > end && (step - begin).is_multiple_of(every) && self.regrow_after;
            self.schedule.updates_at(step, length.steps, length.steps_per_epoch) || after
        };
        due.then(|| self.sparsity(step, self.target, length))
    }

    fn sparsity(&self, step: u64, target: f64, length: Length) -> f64 {
        let initial = self.initial.min(target);
        if !self.reference {
            return self.schedule.sparsity(step, initial, target, length.steps, length.steps_per_epoch);
        }
        let (first, last, now) = self.turns(step, length);
        if now < first || last <= first {
            return initial;
        }
        let passed = (now.min(last - 1) - first) as f64 / (last - first) as f64;
        polynomial(initial, target, self.schedule.power, passed)
    }

    fn keep(&self, len: usize, sparsity: f64) -> usize {
        match self.reference {
            true => Rounding::TruncKeep.keep(len, sparsity).saturating_sub(1).max(1),
            false => budget::keep(len, sparsity),
        }
    }
    fn growth(&self) -> Option<&Growth> {
        Some(&self.growth)
    }
}
