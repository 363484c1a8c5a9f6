//! The course of the learning rate over a run: where it begins, turns and ends, known before the first step.

use super::session::Session;

/// A step at which the course of the learning rate begins, turns or ends.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Turn {
    pub step: u64,
    pub rate: f64,
    /// What happens there: `start`, `warm` (the warm-up is over), `fall` (a milestone), `restart` (training starts
    /// over), `phase` (other layers train), and `end`: the last step before one of these two, or of the run.
    pub what: Vec<&'static str>,
}

impl Session {
    /// The turns of the whole run, by step.
    pub fn turns(&self) -> Vec<Turn> {
        let steps = self.length.steps;
        (0..steps)
            .filter_map(|step| {
                let (own, course) = self.clock(step);
                let lr = &self.recipe.optim.lr;
                let restarts = |step: u64| step > 0 && self.clock(step).0 != self.clock(step - 1).0 + 1;
                let phase = |step: u64| self.phases.at(self.clock(step));
                let joins = |step: u64| step > 0 && phase(step) != phase(step - 1);
                let warm = lr.is_warm_at(own, course.steps, course.steps_per_epoch);
                let falls = lr.falls_at(own, course.steps, course.steps_per_epoch);
                let ends = step + 1 == steps || restarts(step + 1) || joins(step + 1);
                let all = [
                    ("start", step == 0),
                    ("restart", restarts(step)),
                    ("phase", joins(step)),
                    ("warm", warm),
                    ("fall", falls),
                    ("end", ends),
                ];
                let what: Vec<&str> =
                    all.into_iter().filter(|(_, here)| *here).map(|(what, _)| what).collect();
                (!what.is_empty()).then(|| Turn { step, rate: self.rate_at(step), what })
            })
            .collect()
    }
}
