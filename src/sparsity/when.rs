//! When a method updates masks and how many weights are kept then, and what else a run asks before it takes a step.

use super::methods::Start;
use super::pruner::{Pruner, Updater};
use super::update::growth::By;
use super::update::prune::Criterion;
use super::{Length, filters};
use crate::error::{Error, Result};
use crate::param::{ParamId, ParamSet};

impl Pruner {
    /// Whether weights grow, by gradients of the step.
    pub fn grows(&self) -> bool {
        self.method.growth().is_some()
    }
    /// Whether an update computes a dense gradient for that.
    pub fn grows_by_gradient(&self) -> bool {
        self.method.growth().is_some_and(|growth| growth.by == By::Gradient)
    }
    /// Whether an update reads the dense gradient of the step.
    pub fn reads_gradients(&self) -> bool {
        self.method.growth().is_some_and(|growth| !growth.by.is_random())
    }
    /// Whether the optimizer rests at `step`.
    pub fn rests(&self, step: u64) -> bool {
        self.method.rests(step, self.length)
    }
    /// Whether the optimizer begins anew at a mask update.
    pub fn anew(&self) -> bool {
        self.method.resets()
    }
    /// Whether it does so at `step`.
    pub fn resets(&self, step: u64) -> bool {
        self.method.resets() && self.due(step).is_some()
    }
    /// Whether weights are kept or pruned by the gradients of all of them.
    pub fn chooses_by_gradient(&self) -> bool {
        self.method.criterion() != Criterion::Magnitude
    }
    /// Whether a mask update passes batches through the network beside the order of training.
    pub fn looks(&self) -> bool {
        match self.method.criterion() {
            Criterion::Magnitude => false,
            Criterion::Saliency { batches } => batches > 1,
            Criterion::Flow { .. } => true,
        }
    }
    /// What logits are divided by in such a pass, if it is asked for.
    pub fn temperature(&self) -> f32 {
        match self.method.criterion() {
            Criterion::Flow { temperature } => temperature,
            _ => 1.0,
        }
    }
    /// The sparsity due at `step`, if masks are updated there.
    pub fn due(&self, step: u64) -> Option<f64> {
        match self.method.in_turn() {
            // Masks are recorded once more where they freeze.
            None if self.freezes(step) => Some(self.target),
            None => self.method.due(step, self.length).filter(|_| !self.is_frozen(step)),
            Some(schedule) => self.due_in_turn(schedule, step),
        }
    }
    /// Whether masks that flow are held from `step` on.
    pub fn freezes(&self, step: u64) -> bool {
        self.method.frozen_from(self.length) == Some(step)
    }
    /// Whether masks that flowed are held at `step`.
    pub fn is_frozen(&self, step: u64) -> bool {
        self.method.frozen_from(self.length).is_some_and(|from| from <= step)
    }
    /// The step whose values all parameters go back to after each mask update.
    pub fn rewind(&self) -> Option<u64> {
        self.method.rewind()
    }
    /// The step of the training schedule that `step` repeats, and the length of that course.
    pub fn clock(&self, step: u64) -> (u64, Length) {
        self.method.clock(step, self.length)
    }
    /// What each group keeps at `step`.
    pub(super) fn keeps(&self, step: u64, sparsity: f64) -> Result<Vec<usize>> {
        match self.method.in_turn() {
            None => self.keeps_together(step, sparsity),
            Some(schedule) => self.keeps_in_turn(schedule, step),
        }
    }
    pub(super) fn keeps_together(&self, step: u64, sparsity: f64) -> Result<Vec<usize>> {
        let own = |target| self.method.sparsity(step, target, self.length);
        if self.filters.is_some() {
            return Ok(filters::keeps(&self.budget, own, sparsity));
        }
        let wanted = self.method.keep(self.budget.total(), sparsity);
        self.budget.keeps_in_all(wanted, sparsity, own)
    }
    /// The sparsity before the first update.
    pub fn start_sparsity(&self) -> f64 {
        match self.entry.start {
            Start::Dense => 0.0,
            Start::Random | Start::Zeros => self.target,
            Start::Initial => self.initial,
        }
    }
    /// The whole network's sparsity at the end of the run.
    pub fn final_sparsity(&self) -> f64 {
        (0..self.length.steps).rev().find_map(|step| self.due(step)).unwrap_or(self.target)
    }
    /// Whether blocks that are kept or pruned differ in size.
    pub fn is_uneven(&self) -> bool {
        self.budget.is_uneven()
    }
    /// Weights that are kept of all maskable ones at the end of the run, if that is not learned, nor a matter of which
    /// blocks are kept, large or small ones, or which channels.
    pub fn wanted(&self) -> Result<Option<usize>> {
        if self.soft.is_some() || self.is_uneven() || self.filters.is_some() {
            return Ok(None);
        }
        let last = self.length.steps.saturating_sub(1);
        Ok(Some(self.keeps(last, self.final_sparsity())?.iter().sum::<usize>() + self.dense))
    }

    /// All updates of the run: step, sparsity and weights kept; none where that is learned.
    pub fn schedule(&self) -> Result<Vec<(u64, f64, usize)>> {
        let mut all = Vec::new();
        if self.soft.is_some() {
            return Ok(all);
        }
        for step in 0..self.length.steps {
            if let Some(sparsity) = self.due(step) {
                let kept = self.keeps(step, sparsity)?.iter().sum::<usize>() + self.dense;
                all.push((step, sparsity, kept));
            }
        }
        Ok(all)
    }

    /// Refuses to go on from `step` where the next update would keep more weights than are left: a method that only prunes
    /// brings none back. That can be where a recipe was changed in the middle of a run.
    ///
    /// # Errors
    /// `Kind::Usage`, with the first such update.
    pub fn refuse_growth(&self, step: u64, params: &ParamSet) -> Result<()> {
        let next = (step..self.length.steps).find_map(|step| Some((step, self.due(step)?)));
        let (Updater::Prune(_), Some((due, sparsity))) = (&self.updater, next) else { return Ok(()) };
        for (members, keep) in self.members.iter().zip(self.keeps(due, sparsity)?) {
            let left = members.iter().map(|&id| params[id].kept()).sum::<Result<usize>>()?;
            if keep > left && !self.is_uneven() {
                let name = self.entry.name;
                return Err(Error::usage(format!("`{name}` cannot bring back weights that it has pruned"))
                    .at(format!("{left} weights are left, and the update of step {due} is to keep {keep}"))
                    .hint("a schedule that keeps no more, or a run of its own: train --init with this run's weights"));
            }
        }
        Ok(())
    }

    /// The whole network's sparsity that is asked for.
    pub fn target(&self) -> f64 {
        self.target
    }
    /// What is kept at `sparsity` in each group, with the names of its tensors; nothing where that is learned.
    pub fn budgets(&self, sparsity: f64) -> Result<Vec<(Vec<String>, usize, usize)>> {
        if self.soft.is_some() {
            return Ok(Vec::new());
        }
        let keeps = self.keeps(self.length.steps, sparsity)?;
        let names = |group: &Vec<ParamId>| group.iter().map(|&i| self.names[i.0].clone()).collect();
        let groups = self.members.iter().zip(&self.budget.groups).zip(keeps);
        Ok(groups.map(|((members, group), keep)| (names(members), keep, group.len)).collect())
    }
}
