//! When masks are updated and how sparse they then are: a pure function of the step.

use super::anneal;
use super::duration::Duration;
use super::section::Section;
use super::writer::Writer;
use crate::error::{Error, Result};

/// `schedule` of `[sparsity]`: from the initial sparsity at `begin` to the target at `end`.
#[derive(Clone, Debug, PartialEq)]
pub struct PruneSchedule {
    pub kind: Curve,
    pub begin: Duration,
    /// `begin` itself for [`Curve::OneShot`].
    pub end: Duration,
    /// Distance between mask updates.
    pub every: Duration,
    /// The exponent: 3 is Zhu and Gupta's; 1 for all but [`Curve::Cubic`].
    pub power: f64,
}

/// The curve between begin and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// `target + (initial - target) * (1 - progress)^power`.
    Cubic,
    /// The same with exponent 1.
    Linear,
    /// All at once, at `begin`.
    OneShot,
}

impl Curve {
    pub const ALL: &[Curve] = &[Curve::Cubic, Curve::Linear, Curve::OneShot];

    /// As recipes write it.
    pub fn name(self) -> &'static str {
        match self {
            Curve::Cubic => "cubic",
            Curve::Linear => "linear",
            Curve::OneShot => "oneshot",
        }
    }
}

impl Default for PruneSchedule {
    /// A cubic over the first three quarters of the run, every 100 steps.
    fn default() -> Self {
        Self {
            kind: Curve::Cubic,
            begin: Duration::ZERO,
            end: Duration::Percent(75.0),
            every: Duration::Steps(100),
            power: 3.0,
        }
    }
}

impl PruneSchedule {
    /// The sparsity due at `step` (0-based), 0 to 1. Before `begin` it is `initial`, from `end` on exactly
    /// `target`.
    ///
    /// Zhu and Gupta, 2017: `s_f + (s_i - s_f) * (1 - (t - t0)/(n dt))^3`.
    pub fn sparsity(
        &self,
        step: u64,
        initial: f64,
        target: f64,
        total_steps: u64,
        steps_per_epoch: u64,
    ) -> f64 {
        let (begin, end) = self.bounds(total_steps, steps_per_epoch);
        match anneal::progress(step, begin, end) {
            0.0 => initial, // exactly, which the formula's rounding would not be
            progress => anneal::polynomial(initial, target, self.power, progress),
        }
    }

    /// Whether masks are updated at `step`: every so many steps from `begin` to `end`, and always at `end`,
    /// so that the target is met.
    pub fn updates_at(&self, step: u64, total_steps: u64, steps_per_epoch: u64) -> bool {
        let (begin, end) = self.bounds(total_steps, steps_per_epoch);
        let every = self.every.period(total_steps, steps_per_epoch);
        (begin..=end).contains(&step) && ((step - begin).is_multiple_of(every) || step == end)
    }

    /// The first and the last step at which masks are updated.
    pub fn bounds(&self, total_steps: u64, steps_per_epoch: u64) -> (u64, u64) {
        let in_steps = |duration: &Duration| duration.steps(total_steps, steps_per_epoch);
        (in_steps(&self.begin), in_steps(&self.end))
    }

    /// Errors if, in a run of this length, the schedule ends before it begins or after the last step: the
    /// target would never be met.
    pub fn check(&self, total_steps: u64, steps_per_epoch: u64) -> Result<()> {
        let (begin, end) = self.bounds(total_steps, steps_per_epoch);
        if begin > end {
            return Err(Error::usage("the pruning schedule ends before it begins").at(format!(
                "begin = \"{}\" is step {begin}; end = \"{}\" is step {end}",
                self.begin, self.end
            )));
        }
        if end >= total_steps {
            return Err(Error::usage("the pruning schedule does not end within the run")
                .at(format!("end = \"{}\" is step {end}; the run has {total_steps} steps, from 0", self.end))
                .hint("end = \"75%\" leaves a quarter of the steps to recover in, if the run has more than a few"));
        }
        Ok(())
    }

    pub(super) fn read(mut section: Section) -> Result<PruneSchedule> {
        let kind = section.choice("type", "schedule", Curve::ALL, Curve::name)?.unwrap_or(Curve::Cubic);
        let begin = section.duration("begin", Duration::ZERO)?;
        let mut schedule = PruneSchedule { kind, begin, end: begin, every: Duration::Steps(1), power: 1.0 };
        if kind != Curve::OneShot {
            schedule.end = section.duration("end", Duration::Percent(75.0))?;
            schedule.every = section.period("every", Duration::Steps(100))?;
        }
        if kind == Curve::Cubic {
            schedule.power = section.number("power", "a number above 0", |x| x > 0.0)?.unwrap_or(3.0);
        }
        if schedule.begin.surely_after(&schedule.end) {
            let error = Error::usage("the pruning schedule ends before it begins")
                .at(format!("begin = \"{}\"; end = \"{}\"", schedule.begin, schedule.end));
            return Err(section.locate("end", error));
        }
        section.finish()?;
        Ok(schedule)
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.section("[sparsity.schedule]");
        w.key("type", self.kind.name());
        w.key("begin", self.begin.to_string());
        if self.kind != Curve::OneShot {
            w.key("end", self.end.to_string());
            w.key("every", self.every.to_string());
        }
        if self.kind == Curve::Cubic {
            w.key("power", self.power);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cubic(begin: u64, end: u64, every: u64) -> PruneSchedule {
        let steps = Duration::Steps;
        PruneSchedule {
            kind: Curve::Cubic,
            begin: steps(begin),
            end: steps(end),
            every: steps(every),
            power: 3.0,
        }
    }

    /// The tables give six decimals.
    fn assert_close(got: f64, want: f64, step: u64) {
        assert!((got - want).abs() <= 5e-7, "at {step}: got {got}, want {want}");
    }

    #[test]
    fn cubic_meets_the_tables() {
        let s = cubic(1000, 2000, 100);
        for (step, want) in [
            (0, 0.0),
            (1000, 0.0),
            (1100, 0.2439),
            (1200, 0.4392),
            (1250, 0.520312),
            (1500, 0.7875),
            (1800, 0.8928),
            (1900, 0.8991),
            (2000, 0.9),
            (9999, 0.9),
        ] {
            assert_close(s.sparsity(step, 0.0, 0.9, 10_000, 100), want, step);
        }
        let s = cubic(0, 4, 1);
        for (step, want) in [(0, 0.5), (1, 0.760156), (2, 0.89375), (3, 0.942969), (4, 0.95)] {
            assert_close(s.sparsity(step, 0.5, 0.95, 10, 1), want, step);
        }
    }

    #[test]
    fn updates_fall_on_the_grid_and_on_the_end() {
        let at = |s: &PruneSchedule| (0..30).filter(|&t| s.updates_at(t, 30, 10)).collect::<Vec<u64>>();
        assert_eq!(at(&cubic(5, 20, 5)), [5, 10, 15, 20]);
        assert_eq!(at(&cubic(5, 22, 5)), [5, 10, 15, 20, 22]);
        let oneshot = PruneSchedule { kind: Curve::OneShot, ..cubic(7, 7, 1) };
        assert_eq!(at(&oneshot), [7]);
        assert_eq!([6, 7, 8].map(|t| oneshot.sparsity(t, 0.1, 0.8, 30, 10)), [0.1, 0.8, 0.8]);
    }

    #[test]
    fn a_schedule_that_cannot_be_met_is_an_error() {
        assert!(cubic(0, 99, 10).check(100, 10).is_ok());
        let late = PruneSchedule { end: Duration::Percent(100.0), ..cubic(0, 0, 10) };
        let text = late.check(100, 10).unwrap_err().to_string();
        assert!(text.contains("end = \"100%\" is step 100; the run has 100 steps"), "{text}");
        let crossed = PruneSchedule { begin: Duration::Epochs(8.0), end: Duration::Percent(75.0), ..late };
        let text = crossed.check(100, 10).unwrap_err().to_string();
        assert!(text.contains("ends before it begins") && text.contains("\"8ep\" is step 80"), "{text}");
    }

    proptest! {
        #[test]
        fn sparsity_rises_from_initial_to_target(
            begin in 0..500u64, length in 0..500u64, every in 1..50u64,
            initial in 0.0..0.5f64, more in 0.0..0.49f64, power in 0.5..5.0f64,
        ) {
            let s = PruneSchedule { power, ..cubic(begin, begin + length, every) };
            let (target, total) = (initial + more, 1001);
            let mut last = initial;
            for step in 0..total {
                let now = s.sparsity(step, initial, target, total, 10);
                prop_assert!(now >= last - 1e-12 && now <= target + 1e-12, "{} after {} at {}", now, last, step);
                last = now;
            }
            prop_assert_eq!(s.sparsity(begin + length, initial, target, total, 10), target);
            prop_assert!(s.updates_at(begin + length, total, 10));
        }
    }
}
