//! Groups that take turns: each interval between updates is divided among them, and one is pruned at a time.
//!
//! Zhu & Gupta, 2017, Section 4: the "layerwise constant" schedule of the translation model.

use super::pruner::Pruner;
use crate::error::{Error, Result};
use crate::recipe::{Distribution, PruneSchedule, Sparsity};

impl Pruner {
    /// How long after the schedule's step each group is pruned.
    fn offsets(&self, schedule: &PruneSchedule) -> impl Iterator<Item = u64> {
        let every = schedule.every.period(self.length.steps, self.length.steps_per_epoch);
        let groups = self.members.len() as u64;
        (0..groups).map(move |group| group * every / groups)
    }

    /// The sparsity that the schedule has reached at `step`, if a group has its turn there.
    pub(super) fn due_in_turn(&self, schedule: &PruneSchedule, step: u64) -> Option<f64> {
        let has_turn = |offset: u64| {
            let own = step.checked_sub(offset);
            own.is_some_and(|own| self.method.due(own, self.length).is_some())
        };
        if !self.offsets(schedule).any(has_turn) {
            return None;
        }
        // What the groups keep now, those that wait for their turn included.
        let kept: usize = self.keeps_in_turn(schedule, step).ok()?.iter().sum();
        Some(1.0 - (kept + self.dense) as f64 / self.budget.total().max(1) as f64)
    }

    /// What each group keeps since its last turn.
    pub(super) fn keeps_in_turn(&self, schedule: &PruneSchedule, step: u64) -> Result<Vec<usize>> {
        let (begin, end) = schedule.bounds(self.length.steps, self.length.steps_per_epoch);
        let every = schedule.every.period(self.length.steps, self.length.steps_per_epoch);
        let mut all = Vec::new();
        for (group, offset) in self.offsets(schedule).enumerate() {
            let turn = match step.checked_sub(offset) {
                Some(own) if own >= end => end,
                Some(own) if own >= begin => begin + (own - begin) / every * every,
                _ => {
                    // Not pruned yet: what the start left it.
                    all.push(
                        (self.budget.groups[group].len as f64 * self.start_density[self.members[group][0].0])
                            .round() as usize,
                    );
                    continue;
                }
            };
            all.push(self.keeps_together(turn, self.method.sparsity(turn, self.target, self.length))?[group]);
        }
        Ok(all)
    }

    /// Refuses turns that cannot be taken.
    pub(super) fn check_turns(&self, recipe: &Sparsity) -> Result<()> {
        let Some(schedule) = self.method.in_turn() else { return Ok(()) };
        if recipe.spread() == Distribution::Global {
            return Err(Error::usage("layers take turns only where each has a number of its own")
                .at("in_turn = true, distribution = \"global\"")
                .hint("distribution = \"uniform\" or \"erk\""));
        }
        let (_, end) = schedule.bounds(self.length.steps, self.length.steps_per_epoch);
        let last = end + self.offsets(schedule).max().unwrap_or(0);
        if last >= self.length.steps {
            return Err(Error::usage("the last layer's turn does not come within the run")
                .at(format!("its turn is step {last}; the run has {} steps, from 0", self.length.steps))
                .hint("end the schedule earlier, such as end = \"70%\""));
        }
        Ok(())
    }
}
