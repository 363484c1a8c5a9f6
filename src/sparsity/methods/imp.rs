//! IMP, iterative magnitude pruning with rewinding: train, prune a share of what is left, go back to early values.
//!
//! Frankle & Carbin, 2019, "The lottery ticket hypothesis"; Frankle et al., 2020, "Linear mode connectivity and the
//! lottery ticket hypothesis", which rewinds to step k in place of 0. The run is divided into rounds of equal length.
//! The first begins at step 0; each later one begins with a prune, after which the survivors and all biases have the
//! values of step k, the optimizer's slots are 0, and learning rate and number of updates go on from step k. The order
//! of samples does not repeat. After r prunes `(1 - fraction)^r` of the weights are left, to the nearest whole number,
//! after the last as many as the target asks for. Published code takes the fraction of what is left, rounded up, and one
//! more by mistake: some weights fewer.

use toml::Value;

use super::{Aim, Entry, Heed, Method, Sizes, Start};
use crate::error::{Error, Result};
use crate::param::MaskMode;
use crate::recipe::{Distribution, Duration};
use crate::sparsity::{Length, Stage, budget};

pub const ENTRY: Entry = Entry {
    name: "imp",
    about: "rounds of training; each prunes a share of what is left and rewinds the rest to an early step",
    paper: "Frankle & Carbin 2019, Frankle et al. 2020",
    order: &[Stage::Masks, Stage::Forward, Stage::Backward, Stage::Update],
    aim: Aim::Asked,
    start: Start::Dense,
    distribution: Distribution::Global,
    schedule: Heed::Nothing,
    heeds_init: false,
    settings: || vec![("fraction", Value::Float(0.2)), ("rewind", Value::String("0".into()))],
    unheeded: |_| Vec::new(),
    build: |recipe, settings| {
        let fraction = settings.f64("fraction")?;
        if !(fraction > 0.0 && fraction < 1.0) {
            return Err(settings.wrong("fraction", "a share of what is left, above 0 and below 1"));
        }
        let (rewind, target) = (settings.duration("rewind")?, recipe.target());
        Ok(Some(Box::new(Imp {
            fraction,
            rewind,
            target,
            early: 0,
            sizes: Sizes::default(),
            kept: Vec::new(),
        })))
    },
};

struct Imp {
    fraction: f64,
    rewind: Duration,
    target: f64,
    /// The step whose values survivors go back to.
    early: u64,
    sizes: Sizes,
    /// Of the weights that may be pruned, how many are kept after each prune.
    kept: Vec<usize>,
}

/// How many of `len` weights are kept after each prune, the last time `least`.
fn chain(fraction: f64, len: usize, least: usize) -> Vec<usize> {
    let mut all = Vec::new();
    let mut kept = len;
    while kept > least {
        let share = (1.0 - fraction).powi(all.len() as i32 + 1);
        kept = budget::keep(len, 1.0 - share).clamp(least, kept - 1);
        all.push(kept);
    }
    all
}

impl Imp {
    fn rounds(&self) -> u64 {
        self.kept.len() as u64 + 1
    }
    /// Where a round begins, which repeats step `early`.
    fn begin(&self, round: u64, length: Length) -> u64 {
        self.early + round * (length.steps - self.early) / self.rounds()
    }
    /// The round of a step, from 0.
    fn round(&self, step: u64, length: Length) -> u64 {
        (0..self.rounds()).rev().find(|&round| self.begin(round, length) <= step).unwrap_or(0)
    }
    /// The share of the prunable weights that is pruned in a round.
    fn pruned(&self, round: u64) -> f64 {
        let kept = |prunes: usize| self.kept[prunes - 1] as f64 / self.sizes.prunable as f64;
        if round == 0 { 0.0 } else { 1.0 - kept(round as usize) }
    }
}

impl Method for Imp {
    fn mask_mode(&self) -> MaskMode {
        MaskMode::Held
    }

    fn size(&mut self, sizes: Sizes, length: Length) -> Result<()> {
        self.sizes = sizes;
        self.kept = chain(self.fraction, sizes.prunable, sizes.keep);
        self.early = self.rewind.steps(length.steps, length.steps_per_epoch);
        let (rounds, left) = (self.rounds(), length.steps.saturating_sub(self.early));
        if left < rounds {
            return Err(Error::usage("the run is too short for its rounds")
                .at(format!(
                    "{rounds} rounds from step {} on, where weights rewind to; the run has {} steps",
                    self.early, length.steps
                ))
                .hint("more epochs, a larger fraction, or an earlier rewind"));
        }
        Ok(())
    }

    fn due(&self, step: u64, length: Length) -> Option<f64> {
        let round = self.round(step, length);
        if round == 0 || self.begin(round, length) != step {
            return None;
        }
        let Sizes { prunable, dense, .. } = self.sizes;
        let kept = self.kept[round as usize - 1] + dense;
        Some(if round + 1 == self.rounds() {
            self.target
        } else {
            1.0 - kept as f64 / (prunable + dense) as f64
        })
    }

    /// Layers with a target of their own come nearer to it as the whole does to its own.
    fn sparsity(&self, step: u64, target: f64, length: Length) -> f64 {
        let (round, last) = (self.round(step, length), self.rounds() - 1);
        if round == last { target } else { target * self.pruned(round) / self.pruned(last) }
    }

    fn rewind(&self) -> Option<u64> {
        Some(self.early)
    }

    fn clock(&self, step: u64, length: Length) -> (u64, Length) {
        let steps = self.early + (length.steps - self.early).div_ceil(self.rounds());
        let local = match self.round(step, length) {
            0 => step,
            round => self.early + step - self.begin(round, length),
        };
        (local, Length { steps, ..length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imp(rewind: u64, prunable: usize, keep: usize, steps: u64) -> (Imp, Length) {
        let length = Length { steps, steps_per_epoch: 10 };
        let (target, sizes) = (1.0 - keep as f64 / prunable as f64, Sizes { prunable, keep, dense: 0 });
        let rewind = Duration::Steps(rewind);
        let mut imp = Imp { fraction: 0.2, rewind, target, early: 0, sizes, kept: Vec::new() };
        imp.size(sizes, length).unwrap();
        (imp, length)
    }

    /// The specification's chain for LeNet-300-100.
    #[test]
    fn each_prune_takes_a_fifth_of_what_is_left() {
        let want =
            [212960, 170368, 136294, 109036, 87228, 69783, 55826, 44661, 35729, 28583, 22866, 18293, 14634];
        assert_eq!(chain(0.2, 266_200, 14_634), want);
        assert_eq!(
            chain(0.2, 266_200, 20_000)[10..],
            [22_866, 20_000],
            "the last one as many as are asked for"
        );
        assert_eq!(chain(0.2, 10, 8), [8]);
        assert_eq!(chain(0.2, 10, 10), [0usize; 0]);
        assert_eq!(chain(0.001, 3, 1), [2, 1], "one at the least");
    }

    #[test]
    fn rounds_start_over_at_the_early_step() {
        // 4 + 3 rounds of 12: steps 0 to 15, then 4 to 15 twice.
        let (imp, length) = imp(4, 100, 64, 40);
        let due: Vec<u64> = (0..40).filter(|&step| imp.due(step, length).is_some()).collect();
        assert_eq!(due, [16, 28]);
        let kept = |step| budget::keep(100, imp.due(step, length).unwrap());
        assert_eq!([16, 28].map(kept), [80, 64]);
        let local = |step| imp.clock(step, length).0;
        assert_eq!([0, 3, 4, 15, 16, 27, 28, 39].map(local), [0, 3, 4, 15, 4, 15, 4, 15]);
        assert_eq!(imp.clock(0, length).1.steps, 16);
        assert_eq!(
            [0, 16, 28].map(|step| (100.0 * imp.sparsity(step, 0.9, length)).round()),
            [0.0, 50.0, 90.0]
        );
    }

    #[test]
    fn what_does_not_divide_makes_some_rounds_a_step_shorter() {
        let (imp, length) = imp(0, 100, 51, 30);
        assert_eq!(imp.kept, [80, 64, 51]);
        let due: Vec<u64> = (0..30).filter(|&step| imp.due(step, length).is_some()).collect();
        assert_eq!(due, [7, 15, 22]);
        assert_eq!(imp.clock(29, length), (7, Length { steps: 8, steps_per_epoch: 10 }));
    }
}
