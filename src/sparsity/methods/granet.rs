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

use super::{Aim, Entry, Heed, Method, Sizes, Start};
use crate::error::{Error, Result};
use crate::param::MaskMode;
use crate::recipe::{Distribution, PruneSchedule, polynomial};
use crate::sparsity::budget::{self, Rounding};
use crate::sparsity::update::growth::{self, By, Growth, Span};
use crate::sparsity::{Length, Stage};

pub const ENTRY: Entry = Entry {
    name: "granet",
    about: "gradual pruning, global or per tensor; each prune drops a little more and regrows it by gradient",
    paper: "Liu et al. 2021",
    order: &[Stage::Forward, Stage::Backward, Stage::Update, Stage::Masks],
    aim: Aim::Asked,
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
    unheeded: Growth::unheeded,
    build: |recipe, settings| {
        let schedule = recipe.schedule.clone();
        let growth = Growth::read(settings, &schedule, Span::Run, growth::Rounding::Up)?;
        if growth.by == By::Momentum {
            let error = Error::usage("method `granet` keeps no running mean of the gradient");
            return Err(settings.locate("growth", error).hint("by = \"gradient\" or \"random\""));
        }
        Ok(Some(Box::new(GraNet {
            initial: recipe.initial(),
            target: recipe.target(),
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
    fn mask_mode(&self) -> MaskMode {
        MaskMode::Held
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{Duration, Settings};

    /// 352 steps an epoch, final prune epoch `epochs`, updates every `every` steps.
    fn granet(initial: f64, epochs: f64, every: u64, reference: bool) -> (GraNet, Length) {
        let text = "growth = { by = 'gradient', value = 'zeros', fraction = { type = 'cosine', start = 0.5, end = 0.005, power = 1.0 } }";
        let settings = Settings::from(toml::from_str::<toml::Table>(text).unwrap());
        let (end, every) = (Duration::Epochs(epochs), Duration::Steps(every));
        let schedule = PruneSchedule { end, every, ..PruneSchedule::default() };
        let growth = Growth::read(&settings, &schedule, Span::Run, growth::Rounding::Up).unwrap();
        let granet = GraNet { initial, target: 0.9, schedule, growth, regrow_after: true, reference };
        (granet, Length { steps: 352 * 160, steps_per_epoch: 352 })
    }

    /// The specification's table for 28 updates: sparsity at some of them, from density .5 and from 1, to .1.
    #[test]
    fn reference_counts_are_those_of_the_published_code() {
        let half = [
            (1, 0.541345),
            (2, 0.579738),
            (7, 0.73125),
            (14, 0.85),
            (21, 0.89375),
            (26, 0.899854),
            (27, 0.899982),
        ];
        let dense = [
            (1, 0.093026),
            (2, 0.17941),
            (7, 0.520313),
            (14, 0.7875),
            (21, 0.885938),
            (26, 0.899672),
            (27, 0.899959),
        ];
        for (initial, table) in [(0.5, half), (0.0, dense)] {
            let (granet, length) = granet(initial, 80.0, 1000, true);
            for (turn, want) in table {
                let got = granet.due(turn * 1000 - 1, length).expect("an update");
                assert!((got - want).abs() <= 6e-7, "turn {turn}: got {got}, want {want}");
            }
            // The last prune is left out: the target is never met, though weights are regrown to the end of the run.
            assert!(granet.due(28 * 1000 - 1, length).is_some_and(|s| (s - table[6].1).abs() <= 5e-7));
            assert!(granet.due(28 * 1000, length).is_none());
        }
        // Truncated, and one weight less: that of the threshold.
        let (reference, _) = granet(0.5, 80.0, 1000, true);
        assert_eq!([reference.keep(10, 0.4), reference.keep(1001, 0.9), reference.keep(1, 0.5)], [5, 99, 1]);
    }

    /// With four updates the published code ends at .89375; here the target is met.
    #[test]
    fn few_updates_still_meet_the_target() {
        let epochs = 4000.0 / 352.0;
        let (reference, length) = granet(0.5, epochs, 1000, true);
        let got: Vec<f64> = (1..=6).filter_map(|turn| reference.due(turn * 1000 - 1, length)).collect();
        for (got, want) in got.iter().zip([0.73125, 0.85, 0.89375, 0.89375, 0.89375, 0.89375]) {
            assert!((got - want).abs() <= 5e-7, "got {got}, want {want}");
        }
        assert_eq!(got.len(), 6);
        let (own, length) = granet(0.5, epochs, 1000, false);
        let due: Vec<_> = (0..=6).filter_map(|turn| own.due(turn * 1000, length)).collect();
        assert!((due[1] - 0.73125).abs() <= 5e-7 && due[4..] == [0.9, 0.9, 0.9], "{due:?}");
    }
}
