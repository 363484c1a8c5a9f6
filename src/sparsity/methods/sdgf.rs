//! SdGf, structure decay gradient flow: the pattern tightens in equal intervals of the sparse phase.
//!
//! Bambhaniya et al., 2024, "Progressive gradient flow for robust N:M sparsity training", Section 3. Stepwise, the
//! number that is kept of M falls: M-1, M/2, M/4 and so on down to N. Geometrically, groups shrink at a constant ratio:
//! kN of kM, down to N of M. Masks are chosen anew at every step; gradients reach all weights.

use toml::Value;

use super::{Aim, Entry, Heed, Method, Start};
use crate::param::MaskMode;
use crate::recipe::{Distribution, PruneSchedule, Structure, unknown};
use crate::sparsity::phases::{Phase, Phases};
use crate::sparsity::structure::groups::Gate;
use crate::sparsity::{Length, Stage};

pub const ENTRY: Entry = Entry {
    name: "sdgf",
    about: "N:M chosen anew at every step; the pattern tightens, stepwise or geometrically",
    paper: "Bambhaniya et al. 2024",
    order: &[Stage::Masks, Stage::Forward, Stage::Backward, Stage::Update],
    aim: Aim::Asked,
    start: Start::Dense,
    distribution: Distribution::Uniform,
    schedule: Heed::Every,
    heeds_init: false,
    settings: || {
        let mut all = Phases::settings(0.05, 0.1);
        all.extend([("decay", Value::String("stepwise".into())), ("k", Value::Integer(16))]);
        all
    },
    unheeded: |settings| match settings.text("decay") {
        Ok("stepwise") => {
            vec![("k", "is the first group's size of geometric decay; this one is stepwise".into())]
        }
        _ => Vec::new(),
    },
    build: |recipe, settings| {
        let curve = match settings.text("decay")? {
            "stepwise" => Curve::Stepwise,
            "geometric" => match settings.u32("k")? {
                k if k.is_power_of_two() && k <= 1024 => Curve::Geometric { k: k as usize },
                _ => return Err(settings.wrong("k", "a power of two up to 1024: groups shrink by halves")),
            },
            other => {
                return Err(settings.locate("decay", unknown("decay", other, ["stepwise", "geometric"])));
            }
        };
        Ok(Some(Box::new(Sdgf {
            target: recipe.target(),
            pattern: recipe.pattern,
            schedule: recipe.schedule.clone(),
            phases: Phases::read(settings)?,
            curve,
        })))
    },
};

#[derive(Clone, Copy)]
enum Curve {
    Stepwise,
    Geometric { k: usize },
}

struct Sdgf {
    target: f64,
    pattern: Structure,
    schedule: PruneSchedule,
    phases: Phases,
    curve: Curve,
}

impl Curve {
    /// The patterns, from the first to the target.
    fn frames(self, keep: usize, of: usize) -> Vec<(usize, usize)> {
        match self {
            Curve::Stepwise => {
                let mut all = vec![(of.saturating_sub(1).max(keep), of)];
                let mut kept = of / 2;
                while kept > keep {
                    all.push((kept, of));
                    kept /= 2;
                }
                all.push((keep, of));
                all.dedup();
                all
            }
            Curve::Geometric { k } => std::iter::successors(Some(k), |k| (*k > 1).then_some(k / 2))
                .map(|k| (k * keep, k * of))
                .collect(),
        }
    }
}

impl Sdgf {
    /// What is kept of a group of the final pattern, and of how many.
    fn frame(&self, step: u64, length: Length, keep: usize, of: usize) -> (usize, usize) {
        let frames = self.curve.frames(keep, of);
        match self.phases.at(step, length) {
            Phase::Dense => (of, of),
            // The last frame whose start is not after this step.
            Phase::Sparse { step, of } => frames[((step as usize + 1) * frames.len() - 1) / of as usize],
            Phase::Finetune => (keep, of),
        }
    }
    /// That of the network's pattern: rules may have others.
    fn sparsity_at(&self, step: u64, length: Length) -> f64 {
        let Structure::Groups { keep, of } = self.pattern else { return self.target };
        let (keep, of) = self.frame(step, length, keep as usize, of as usize);
        1.0 - keep as f64 / of as f64
    }
}

impl Method for Sdgf {
    fn mask_mode(&self) -> MaskMode {
        MaskMode::Flowing
    }
    fn due(&self, step: u64, length: Length) -> Option<f64> {
        super::recorded_at(&self.schedule, self.sparsity_at(step, length), step, length)
    }
    fn sparsity(&self, _: u64, target: f64, _: Length) -> f64 {
        target
    }
    fn frozen_from(&self, length: Length) -> Option<u64> {
        self.phases.frozen_from(length)
    }
    fn gate(&self, step: u64, length: Length, keep: usize, of: usize) -> Option<Gate> {
        let (keep, group) = self.frame(step, length, keep, of);
        Some(Gate { keep: keep as u32, group: group as u32, decay: 0.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_tighten_as_the_paper_says() {
        let stepwise = |keep, of| Curve::Stepwise.frames(keep, of);
        assert_eq!(stepwise(1, 8), [(7, 8), (4, 8), (2, 8), (1, 8)]);
        assert_eq!(stepwise(2, 4), [(3, 4), (2, 4)]);
        assert_eq!(stepwise(1, 4), [(3, 4), (2, 4), (1, 4)]);
        assert_eq!(stepwise(1, 16), [(15, 16), (8, 16), (4, 16), (2, 16), (1, 16)]);
        assert_eq!(stepwise(1, 32), [(31, 32), (16, 32), (8, 32), (4, 32), (2, 32), (1, 32)]);
        assert_eq!(Curve::Geometric { k: 16 }.frames(1, 8), [(16, 128), (8, 64), (4, 32), (2, 16), (1, 8)]);
    }

    #[test]
    fn frames_are_equally_long_and_the_last_one_is_the_target() {
        let length = Length { steps: 1000, steps_per_epoch: 10 };
        let phases = Phases { dense: 0.1, finetune: 0.1, freeze: false };
        let (schedule, pattern) = (PruneSchedule::default(), Structure::Groups { keep: 1, of: 8 });
        let sdgf = Sdgf { target: 0.875, pattern, schedule, phases, curve: Curve::Stepwise };
        let keep = |step| sdgf.gate(step, length, 1, 8).unwrap().keep;
        assert_eq!(
            [0, 99, 100, 299, 300, 499, 500, 699, 700, 899, 900].map(keep),
            [8, 8, 7, 7, 4, 4, 2, 2, 1, 1, 1]
        );
        // Every hundred steps and at the last one it is recorded, as it is then.
        let recorded = |step| sdgf.due(step, length);
        assert_eq!(
            [0, 100, 300, 350, 500, 999].map(recorded),
            [Some(0.0), Some(0.125), Some(0.5), None, Some(0.75), Some(0.875)]
        );
    }
}
