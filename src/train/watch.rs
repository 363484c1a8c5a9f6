//! The clock of a run: wall-clock time of training alone, and the times of single dispatches.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::session::Session;
use crate::error::Result;
use crate::gpu::{Phase, Timing};
use crate::sparsity::Change;

/// Wall-clock time of training alone, and the times of single dispatches.
#[derive(Default)]
pub(super) struct Watch {
    running: Option<Instant>,
    pub(super) total: Duration,
    steps: u64,
    masks: Duration,
    phases: BTreeMap<Phase, Vec<f64>>,
    /// Time between one pause and the next, and steps until then.
    laps: Vec<(Duration, u64)>,
}

/// At least so many steps at the end have a time of their own: a run whose masks grow sparser is slower at first.
const END: u64 = 100;
/// What that time is called among those of phases.
const AT_END: &str = "total_at_end";

impl Watch {
    pub(super) fn step(&mut self, run: &mut Session, timed: bool) -> Result<Option<Change>> {
        let due = run.pruner.as_ref().is_some_and(|pruner| pruner.due(run.step).is_some());
        if due {
            run.gpu.finish()?; // what comes next is the mask update's own time, nearly
        }
        let began = Instant::now();
        if timed && !due {
            // Its dispatches go one by one: it counts for the phases, not for the time of a step.
            self.pause(run)?;
            let (change, times) = run.advance_timed()?;
            self.note(&times);
            return Ok(change);
        }
        self.running.get_or_insert_with(Instant::now);
        self.steps += 1;
        let change = run.advance()?;
        if change.is_some() {
            self.masks += began.elapsed();
        }
        Ok(change)
    }
    fn note(&mut self, times: &[Timing]) {
        let mut sums: BTreeMap<Phase, f64> = BTreeMap::new();
        for timing in times {
            *sums.entry(timing.phase).or_default() += timing.ms;
        }
        for (phase, ms) in sums {
            self.phases.entry(phase).or_default().push(ms);
        }
    }
    /// Stops the clock until the next step.
    pub(super) fn pause(&mut self, run: &Session) -> Result<()> {
        if let Some(began) = self.running.take() {
            run.gpu.finish()?;
            let lap = began.elapsed();
            self.laps.push((lap, self.steps));
            self.total += lap;
        }
        Ok(())
    }
    pub(super) fn ms_per_step(&self) -> BTreeMap<&'static str, f64> {
        let steps = self.steps.max(1) as f64;
        let mut all: BTreeMap<&'static str, f64> =
            self.phases.iter().map(|(phase, all)| (phase.name(), median(all))).collect();
        // What every step does for its masks, and the updates, which are not among the timed steps.
        *all.entry(Phase::Masks.name()).or_default() += self.masks.as_secs_f64() * 1e3 / steps;
        all.insert("total", self.total.as_secs_f64() * 1e3 / steps);
        let until = |lap: usize| if lap == 0 { 0 } else { self.laps[lap - 1].1 };
        let enough = |&lap: &usize| self.steps - until(lap) >= END;
        let first = (0..self.laps.len()).rev().find(enough).unwrap_or(0);
        let time: Duration = self.laps[first..].iter().map(|(lap, _)| *lap).sum();
        all.insert(AT_END, time.as_secs_f64() * 1e3 / (self.steps - until(first)).max(1) as f64);
        all
    }
}

pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    if sorted.is_empty() { 0.0 } else { (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(laps: &[(u64, u64)]) -> Watch {
        let mut watch = Watch::default();
        for &(ms, steps) in laps {
            watch.total += Duration::from_millis(ms);
            watch.steps += steps;
            watch.laps.push((Duration::from_millis(ms), watch.steps));
        }
        watch
    }

    #[test]
    fn the_end_has_a_time_of_its_own() {
        let slow_then_fast = watch(&[(2000, 200), (500, 50), (60, 60), (45, 45)]).ms_per_step();
        assert_eq!((slow_then_fast[AT_END], slow_then_fast["total"]), (1.0, 2605.0 / 355.0));
        // A lap counts whole.
        assert_eq!(watch(&[(2000, 200), (99, 99)]).ms_per_step()[AT_END], 2099.0 / 299.0);
        assert_eq!(watch(&[(30, 10)]).ms_per_step()[AT_END], 3.0);
        assert_eq!(watch(&[]).ms_per_step()[AT_END], 0.0);
    }
}
