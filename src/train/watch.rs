//! The clock of a run: wall-clock time of training alone, and the times of single dispatches.
//!
//! Drivers compile a kernel when it is dispatched for the first time, and not before: the first step of a session, its
//! first mask update, and steps whose kernels are new are timed by themselves, and are in no figure of a step. Times add
//! up over the sessions of a run: they go with its checkpoints.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::session::Session;
use crate::error::Result;
use crate::gpu::{Phase, Timing};
use crate::sparsity::Change;

/// What a run has taken so far, in seconds, over all its sessions.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Times {
    /// Of steps as training takes them.
    seconds: f64,
    steps: u64,
    /// Of these, within mask updates.
    masks: f64,
    /// Of steps whose dispatches were timed one by one.
    apart: f64,
    /// Of first steps, with what drivers compile in them.
    pub(super) first: f64,
    /// Milliseconds of a step by phase, one for each step that was timed.
    phases: BTreeMap<String, Vec<f64>>,
    /// Seconds and steps between one pause and the next: the last [`END`] steps or more.
    laps: Vec<(f64, u64)>,
}

/// At least so many steps at the end have a time of their own: a run whose masks grow sparser is slower at first.
const END: u64 = 100;
/// What that time is called among those of phases.
const AT_END: &str = "total_at_end";
/// A figure of fewer steps is none: it is left out.
const LEAST: u64 = 3;

impl Times {
    /// All of training but first steps.
    pub(super) fn training(&self) -> f64 {
        self.seconds + self.apart
    }
    fn lap(&mut self, seconds: f64, steps: u64) {
        self.seconds += seconds;
        self.steps += steps;
        self.laps.push((seconds, steps));
        let steps_of = |laps: &[(f64, u64)]| laps.iter().map(|lap| lap.1).sum::<u64>();
        while !self.laps.is_empty() && steps_of(&self.laps[1..]) >= END {
            self.laps.remove(0);
        }
    }
    fn note(&mut self, times: &[Timing]) {
        let mut sums: BTreeMap<Phase, f64> = BTreeMap::new();
        for timing in times {
            *sums.entry(timing.phase).or_default() += timing.ms;
        }
        for (phase, ms) in sums {
            self.phases.entry(phase.name().to_string()).or_default().push(ms);
        }
    }
    /// Milliseconds of a step, by phase and in total. What too few steps were timed for is left out.
    pub(super) fn ms_per_step(&self) -> BTreeMap<&'static str, f64> {
        let phase = |phase: Phase| Some((phase.name(), self.phases.get(phase.name())?));
        let enough =
            |(name, all): (&'static str, &Vec<f64>)| (all.len() as u64 >= LEAST).then(|| (name, median(all)));
        let phases = Phase::ALL.into_iter().filter_map(phase);
        let mut all: BTreeMap<&'static str, f64> = phases.filter_map(enough).collect();
        if self.steps < LEAST {
            return all;
        }
        let mean = |seconds: f64, steps: u64| seconds * 1e3 / steps.max(1) as f64;
        // What every step does for its masks, and the updates, which are not among the timed steps.
        *all.entry(Phase::Masks.name()).or_default() += mean(self.masks, self.steps);
        all.insert("total", mean(self.seconds, self.steps));
        let (seconds, steps) = self.laps.iter().fold((0.0, 0), |(s, n), lap| (s + lap.0, n + lap.1));
        all.insert(AT_END, mean(seconds, steps));
        all
    }
}

/// Takes the steps of a session, and their times.
#[derive(Default)]
pub(super) struct Watch {
    /// Since when the clock runs, and how many steps it has counted.
    running: Option<(Instant, u64)>,
    /// By whether a mask update was due: how many kernels there were after the last such step.
    kernels: [Option<usize>; 2],
}

impl Watch {
    pub(super) fn step(&mut self, run: &mut Session, timed: bool) -> Result<Option<Change>> {
        let due = run.pruner.as_ref().is_some_and(|pruner| pruner.due(run.step).is_some());
        let is_first = self.kernels[usize::from(due)] != Some(run.gpu.pipelines().1);
        let change = if is_first || due {
            self.step_alone(run, is_first)?
        } else if timed {
            self.pause(run)?;
            let began = Instant::now();
            let (change, times) = run.advance_timed()?;
            run.times.apart += began.elapsed().as_secs_f64();
            run.times.note(&times);
            change
        } else {
            self.running.get_or_insert_with(|| (Instant::now(), 0)).1 += 1;
            run.advance()?
        };
        self.kernels[usize::from(due)] = Some(run.gpu.pipelines().1);
        Ok(change)
    }

    /// A step between two pauses. It is a first one, too, if kernels came with it.
    fn step_alone(&mut self, run: &mut Session, is_first: bool) -> Result<Option<Change>> {
        self.pause(run)?;
        let (began, kernels) = (Instant::now(), run.gpu.pipelines().1);
        let change = run.advance()?;
        let masks = began.elapsed();
        run.gpu.finish()?;
        let all = began.elapsed().as_secs_f64();
        if is_first || run.gpu.pipelines().1 != kernels {
            run.times.first += all;
        } else {
            run.times.lap(all, 1);
            run.times.masks += if change.is_some() { masks } else { Duration::ZERO }.as_secs_f64();
        }
        Ok(change)
    }

    /// Stops the clock until the next step.
    pub(super) fn pause(&mut self, run: &mut Session) -> Result<()> {
        if let Some((began, steps)) = self.running.take() {
            run.gpu.finish()?;
            run.times.lap(began.elapsed().as_secs_f64(), steps);
        }
        Ok(())
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

    fn times(laps: &[(u64, u64)]) -> Times {
        let mut times = Times::default();
        laps.iter().for_each(|&(ms, steps)| times.lap(ms as f64 / 1e3, steps));
        times
    }

    fn close(got: f64, want: f64) {
        assert!((got - want).abs() <= 1e-9, "{got}, not {want}");
    }

    #[test]
    fn the_end_has_a_time_of_its_own() {
        let slow_then_fast = times(&[(2000, 200), (500, 50), (60, 60), (45, 45)]).ms_per_step();
        close(slow_then_fast[AT_END], 1.0);
        close(slow_then_fast["total"], 2605.0 / 355.0);
        // A lap counts whole.
        close(times(&[(2000, 200), (99, 99)]).ms_per_step()[AT_END], 2099.0 / 299.0);
        close(times(&[(30, 10)]).ms_per_step()[AT_END], 3.0);
    }

    #[test]
    fn times_add_up_over_sessions_and_few_steps_are_no_figure() {
        assert!(times(&[]).ms_per_step().is_empty() && times(&[(9000, 2)]).ms_per_step().is_empty());
        let mut first = times(&[(100, 50)]);
        (first.first, first.apart) = (3.0, 0.5);
        first.phases.insert("forward".into(), vec![1.0, 51.0]);
        let mut second: Times = serde_json::from_str(&serde_json::to_string(&first).unwrap()).unwrap();
        second.lap(0.2, 50);
        assert!(!second.ms_per_step().contains_key("forward"), "two steps");
        second.phases.get_mut("forward").unwrap().push(2.0);
        let found = second.ms_per_step();
        close(found["forward"], 2.0);
        close(found["total"], 3.0);
        close(second.training(), 0.8);
        assert_eq!(second.first, 3.0);
    }
}
