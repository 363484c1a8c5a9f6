//! Progressive shrinking: from phase to phase more of the space is admitted.   Cai et al. 2020, Section 3.3.

use crate::error::{Error, Result};
use crate::nn::Space;
use crate::recipe::{Shrink, Vary};

/// How many of each of a space's lists may be drawn, from the largest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    pub kernels: usize,
    pub expansions: usize,
    pub depths: usize,
    pub resolutions: usize,
}

impl Admitted {
    /// The full network alone.
    pub const FULL: Self = Self { kernels: 1, expansions: 1, depths: 1, resolutions: 1 };
}

/// Some steps of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// The first step, and the one behind the last.
    pub begin: u64,
    pub end: u64,
    pub admitted: Admitted,
    /// The factor on the learning rate.
    pub factor: f64,
    /// Subnets a step, whose gradients are added up.
    pub subnets: u32,
}

/// The phases of a run; none where nothing shrinks.
#[derive(Clone, Debug, PartialEq)]
pub struct Phases(Vec<Phase>);

impl Phases {
    /// # Errors
    /// `Kind::Usage` where a phase does not begin after the one before and within the run, or admits nothing new.
    pub fn new(recipe: &Shrink, space: &Space, steps: u64, steps_per_epoch: u64) -> Result<Self> {
        let mut admitted = Admitted::FULL;
        let mut all: Vec<Phase> = Vec::new();
        for (number, vary) in recipe.phases.iter().enumerate() {
            let begin = match number.checked_sub(1) {
                Some(before) => recipe.begin[before].steps(steps, steps_per_epoch),
                None => 0,
            };
            if let Some(before) = all.last_mut() {
                if begin <= before.begin || begin >= steps {
                    return Err(Error::usage("a phase begins within the run and after the one before it").at(
                        format!(
                            "phase `{}` of shrink.phases begins at step {begin} of {steps}, the one before it at {}",
                            vary.name(),
                            before.begin
                        ),
                    ));
                }
                before.end = begin;
            }
            let before = admitted;
            match vary {
                Vary::Full => {}
                Vary::Resolution => admitted.resolutions = space.resolutions.len(),
                Vary::Kernel => admitted.kernels = space.kernels.len(),
                Vary::Depth => admitted.depths = (admitted.depths + 1).min(space.depths.len()),
                Vary::Width => admitted.expansions = (admitted.expansions + 1).min(space.expansions.len()),
            }
            if number > 0 && admitted == before {
                return Err(Error::usage(format!(
                    "phase `{}` of shrink.phases admits nothing new",
                    vary.name()
                ))
                .at("`kernel` admits all kernel sizes, `resolution` all sizes of pictures; each `depth` and `width` the next smaller number")
                .hint("fewer phases, or more choices in [model]"));
            }
            let (factor, subnets) = (recipe.lr[number], recipe.subnets[number]);
            all.push(Phase { begin, end: steps, admitted, factor, subnets });
        }
        Ok(Self(all))
    }

    /// The number of the phase of a step, and the phase.
    pub fn at(&self, step: u64) -> Option<(usize, &Phase)> {
        self.0.iter().enumerate().rev().find(|(_, phase)| phase.begin <= step)
    }
    /// How many expansions were admitted before a phase, if it admits more.
    pub fn widens(&self, phase: usize) -> Option<usize> {
        let [before, now] = [phase.checked_sub(1)?, phase].map(|at| self.0[at].admitted.expansions);
        (now > before).then_some(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::space::settings;
    use crate::recipe::Settings;

    fn phases(words: &[Vary], begin: &[&str]) -> Result<Phases> {
        let space = Space::read(&Settings::default().resolve("preset", &settings()).unwrap()).unwrap();
        let shrink = Shrink {
            phases: words.to_vec(),
            begin: begin.iter().map(|text| text.parse().unwrap()).collect(),
            lr: (0..words.len()).map(|number| 1.0 / (number + 1) as f64).collect(),
            subnets: (1..=words.len() as u32).collect(),
        };
        Phases::new(&shrink, &space, 100, 10)
    }

    #[test]
    fn each_phase_admits_more() {
        let words = [Vary::Full, Vary::Kernel, Vary::Depth, Vary::Width, Vary::Width];
        let phases = phases(&words, &["20%", "4ep", "60", "80"]).unwrap();
        let at = |step| {
            let (number, phase) = phases.at(step).unwrap();
            let Admitted { kernels, depths, expansions, .. } = phase.admitted;
            (number, [kernels, depths, expansions], phase.subnets)
        };
        assert_eq!(at(0), (0, [1, 1, 1], 1));
        assert_eq!((at(19), at(20)), (at(0), (1, [3, 1, 1], 2)));
        assert_eq!(at(40), (2, [3, 2, 1], 3));
        assert_eq!(at(79), (3, [3, 2, 2], 4));
        assert_eq!(at(99), (4, [3, 2, 3], 5));
        assert_eq!([0, 1, 2, 3, 4].map(|phase| phases.widens(phase)), [None, None, None, Some(1), Some(2)]);
        let ends: Vec<u64> = phases.0.iter().map(|phase| phase.end).collect();
        assert_eq!(ends, [20, 40, 60, 80, 100]);
    }

    #[test]
    fn sizes_of_pictures_are_admitted_together() {
        let own: Settings = "resolutions = [24, 20]".parse::<toml::Table>().unwrap().into();
        let space = Space::read(&own.resolve("preset", &settings()).unwrap()).unwrap();
        let shrink = Shrink {
            phases: vec![Vary::Full, Vary::Resolution],
            begin: vec!["10".parse().unwrap()],
            lr: vec![1.0; 2],
            subnets: vec![1; 2],
        };
        let phases = Phases::new(&shrink, &space, 20, 10).unwrap();
        let admitted = |step| phases.at(step).unwrap().1.admitted;
        assert_eq!(
            (admitted(9), admitted(10)),
            (Admitted::FULL, Admitted { resolutions: 3, ..Admitted::FULL })
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let refused = |words: &[Vary], begin: &[&str]| phases(words, begin).unwrap_err().to_string();
        assert!(refused(&[Vary::Full, Vary::Kernel], &["100"]).contains("within the run"));
        assert!(refused(&[Vary::Full, Vary::Kernel, Vary::Width], &["50", "5ep"]).contains("after the one"));
        let twice = refused(&[Vary::Full, Vary::Depth, Vary::Depth], &["10", "20"]);
        assert!(twice.contains("`depth` of shrink.phases admits nothing new"), "{twice}");
        assert!(refused(&[Vary::Full, Vary::Resolution], &["10"]).contains("`resolution` of shrink.phases"));
    }
}
