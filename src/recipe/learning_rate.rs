//! The learning rate: a pure function of the step.

use super::anneal;
use super::duration::Duration;
use super::section::Section;
use super::writer::Writer;
use crate::error::Result;

/// `lr` of `[optim]`: a plain number, or a table with a `type`.
#[derive(Clone, Debug, PartialEq)]
pub struct LrSchedule {
    pub shape: Shape,
    /// Rises linearly from nothing to the first value over this span, which the shape then starts after.
    pub warmup: Duration,
}

/// How the rate moves once it is warm. Rates are finite and not negative.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    Constant {
        value: f64,
    },
    /// Half a cosine over what is left of the run, as PyTorch's `CosineAnnealingLR` when stepped every step.
    Cosine {
        start: f64,
        end: f64,
    },
    /// Multiplied by `factor` at each of `at`, which count from the start of the run.
    Step {
        start: f64,
        factor: f64,
        at: Vec<Duration>,
    },
}

#[derive(Clone, Copy)]
enum Kind {
    Constant,
    Cosine,
    Step,
}

impl Kind {
    const ALL: &[Kind] = &[Kind::Constant, Kind::Cosine, Kind::Step];

    fn name(self) -> &'static str {
        match self {
            Kind::Constant => "constant",
            Kind::Cosine => "cosine",
            Kind::Step => "step",
        }
    }
}

const RATE: &str = "a number of at least 0";

impl LrSchedule {
    /// The rate at `step` (0-based). During a warmup of `w` steps it is `(step + 1)/w` of the first value.
    pub fn at(&self, step: u64, total_steps: u64, steps_per_epoch: u64) -> f64 {
        let warmup = self.warmup.steps(total_steps, steps_per_epoch);
        if step < warmup {
            let first = self.shape.at(warmup, warmup, total_steps, steps_per_epoch);
            return first * ((step + 1) as f64 / warmup as f64);
        }
        self.shape.at(step, warmup, total_steps, steps_per_epoch)
    }

    /// Whether `step` is the first after a warmup.
    pub fn is_warm_at(&self, step: u64, total_steps: u64, steps_per_epoch: u64) -> bool {
        let warmup = self.warmup.steps(total_steps, steps_per_epoch);
        warmup > 0 && step == warmup
    }
    /// Whether the rate falls at `step`, all at once.
    pub fn falls_at(&self, step: u64, total_steps: u64, steps_per_epoch: u64) -> bool {
        let Shape::Step { at, .. } = &self.shape else { return false };
        let warmup = self.warmup.steps(total_steps, steps_per_epoch);
        step > warmup && at.iter().any(|d| d.steps(total_steps, steps_per_epoch) == step)
    }

    pub(super) fn read(optim: &mut Section) -> Result<LrSchedule> {
        if !optim.holds_table("lr") {
            let value = optim.number("lr", "a number of at least 0, or a table with a type", |x| x >= 0.0)?;
            let advice = "write lr = 0.1, or lr = { type = \"cosine\", start = 0.1, end = 0.0 }";
            let value = value.ok_or_else(|| optim.missing("lr").hint(advice))?;
            return Ok(LrSchedule { shape: Shape::Constant { value }, warmup: Duration::ZERO });
        }
        let mut section = optim.section("lr")?;
        let kind = section.choice("type", "learning rate schedule", Kind::ALL, Kind::name)?;
        let shape = match kind.ok_or_else(|| section.missing("type").hint("constant, cosine or step"))? {
            Kind::Constant => Shape::Constant { value: rate(&mut section, "value")? },
            Kind::Cosine => Shape::Cosine {
                start: rate(&mut section, "start")?,
                end: section.number("end", RATE, |x| x >= 0.0)?.unwrap_or(0.0),
            },
            Kind::Step => Shape::Step {
                start: rate(&mut section, "start")?,
                factor: section.number("factor", "a number above 0", |x| x > 0.0)?.unwrap_or(0.1),
                at: milestones(&mut section)?,
            },
        };
        let warmup = section.duration("warmup", Duration::ZERO)?;
        section.finish()?;
        Ok(LrSchedule { shape, warmup })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.section("[optim.lr]");
        match &self.shape {
            Shape::Constant { value } => {
                w.key("type", "constant");
                w.key("value", *value);
            }
            Shape::Cosine { start, end } => {
                w.key("type", "cosine");
                w.key("start", *start);
                w.key("end", *end);
            }
            Shape::Step { start, factor, at } => {
                w.key("type", "step");
                w.key("start", *start);
                w.key("factor", *factor);
                w.key("at", at.iter().map(Duration::to_string).collect::<Vec<_>>());
            }
        }
        w.key("warmup", self.warmup.to_string());
    }
}

impl Shape {
    /// The rate at `step`, having begun at step `warmup`.
    fn at(&self, step: u64, warmup: u64, total_steps: u64, steps_per_epoch: u64) -> f64 {
        match self {
            Shape::Constant { value } => *value,
            Shape::Cosine { start, .. } if step <= warmup => *start,
            Shape::Cosine { start, end } => {
                anneal::cosine(*start, *end, anneal::progress(step, warmup, total_steps))
            }
            Shape::Step { start, factor, at } => {
                let passed = at.iter().filter(|d| d.steps(total_steps, steps_per_epoch) <= step).count();
                start * factor.powf(passed as f64)
            }
        }
    }
}

fn rate(section: &mut Section, key: &'static str) -> Result<f64> {
    section
        .number(key, RATE, |x| x >= 0.0)?
        .ok_or_else(|| section.missing(key).at(format!("expected: {RATE}")))
}

fn milestones(section: &mut Section) -> Result<Vec<Duration>> {
    let expected = "a list of durations, such as [\"50%\", \"75%\"]";
    let durations = |v: &toml::Value| v.as_array()?.iter().map(Duration::from_value).collect();
    section
        .take("at", expected, durations)?
        .ok_or_else(|| section.missing("at").at(format!("expected: {expected}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(got: f64, want: f64) {
        assert!((got - want).abs() <= 1e-12, "got {got}, want {want}");
    }

    #[test]
    fn cosine_is_pytorchs() {
        let lr = LrSchedule { shape: Shape::Cosine { start: 0.1, end: 0.01 }, warmup: Duration::ZERO };
        // CosineAnnealingLR's closed form at a quarter, the half, three quarters and the end of 8 steps.
        let half_root = 0.5f64.sqrt();
        for (step, want) in [
            (0, 0.1),
            (2, 0.01 + 0.045 * (1.0 + half_root)),
            (4, 0.055),
            (6, 0.01 + 0.045 * (1.0 - half_root)),
            (8, 0.01),
            (9, 0.01),
        ] {
            assert_close(lr.at(step, 8, 1), want);
        }
    }

    #[test]
    fn warmup_rises_and_the_shape_follows_it() {
        let lr = LrSchedule { shape: Shape::Cosine { start: 0.4, end: 0.0 }, warmup: Duration::Steps(4) };
        for (step, want) in [(0, 0.1), (1, 0.2), (2, 0.3), (3, 0.4), (4, 0.4), (8, 0.2), (12, 0.0)] {
            assert_close(lr.at(step, 12, 3), want);
        }
        let all = LrSchedule { warmup: Duration::Percent(100.0), ..lr };
        assert_eq!(all.at(11, 12, 3), 0.4, "a warmup as long as the run still reaches the first value");
        assert_eq!(all.at(0, 0, 0), 0.4, "and a run of no steps is no fault");
    }

    #[test]
    fn steps_fall_at_their_marks() {
        let at = vec![Duration::Percent(50.0), Duration::Epochs(3.0)];
        let lr = LrSchedule { shape: Shape::Step { start: 1.0, factor: 0.5, at }, warmup: Duration::ZERO };
        for (step, want) in [(0, 1.0), (49, 1.0), (50, 0.5), (74, 0.5), (75, 0.25), (99, 0.25)] {
            assert_eq!(lr.at(step, 100, 25), want, "at {step}");
        }
        let falls = |lr: &LrSchedule| (0..100).filter(|&t| lr.falls_at(t, 100, 25)).collect::<Vec<_>>();
        assert_eq!(falls(&lr), [50, 75]);
        // A milestone within the warmup is in the first value already.
        let warm = LrSchedule { warmup: Duration::Steps(50), ..lr };
        assert_eq!((falls(&warm), warm.at(49, 100, 25), warm.at(50, 100, 25)), (vec![75], 0.5, 0.5));
        assert_eq!([49, 50, 51].map(|t| warm.is_warm_at(t, 100, 25)), [false, true, false]);
        let constant = LrSchedule { shape: Shape::Constant { value: 0.3 }, warmup: Duration::ZERO };
        assert_eq!([0, 5, 99].map(|t| constant.at(t, 100, 25)), [0.3; 3]);
        assert!(falls(&constant).is_empty() && !constant.is_warm_at(0, 100, 25));
    }
}
