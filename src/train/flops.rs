//! What the products of a run come to, by the density that each step has: how methods are compared at equal training.

use std::collections::HashSet;

use super::event::TrainFlops;
use super::session::Session;
use crate::error::Result;
use crate::param::ParamId;
use crate::sparsity::{Pruner, Work};

impl Session {
    /// Those of all steps done, of all stages.
    pub(super) fn flops_done(&self) -> Result<TrainFlops> {
        let before = self.flops.iter().copied();
        Ok(before.fold(self.train_flops(self.step)?, |sum, one| TrainFlops {
            kept: sum.kept + one.kept,
            dense: sum.dense + one.dense,
        }))
    }

    /// The operations of the first `steps` steps of this stage, done or not: two for each weight and column, forward, in the input
    /// gradient where one is asked for, and in the weight gradient; beside them those of a dense network whose layers
    /// all train. A layer that is still frozen has no weight gradient, and no input gradient is passed below the lowest
    /// that trains. What is computed again for the backward pass is left out. Where thresholds
    /// are learned every step counts as dense; what a method looks at before it chooses
    /// its first masks is left out.
    ///
    /// # Errors
    /// As those of budgets.
    pub fn train_flops(&self, steps: u64) -> Result<TrainFlops> {
        let params = &self.model.params;
        let stages = self.layer_phases();
        let begins = stages.iter().map(|(begin, ..)| *begin);
        let ends: Vec<u64> = begins.skip(1).chain([steps]).map(|end| end.min(steps)).collect();
        let full = |steps: u64| vec![Work { forward: steps as f64, gradient: steps as f64 }; params.len()];
        let spans = match &self.pruner {
            Some(pruner) => pruner.work(&ends)?,
            None => {
                std::iter::once(&0).chain(&ends).zip(&ends).map(|(begin, end)| full(end - begin)).collect()
            }
        };
        let trains = stages.iter().map(|(.., trains)| &trains[..]);
        let kept = spans.iter().zip(trains).map(|(work, trains)| self.operations(work, trains)).sum();
        let all = vec![true; self.model.trainable_layers().count()];
        Ok(TrainFlops { kept, dense: self.operations(&full(steps), &all) })
    }

    /// The operations of some steps, by the work of each parameter and by which of the layers train.
    fn operations(&self, work: &[Work], trains: &[bool]) -> f64 {
        let model = &self.model;
        let layers = model.trainable_layers().zip(trains).filter(|(_, trains)| **trains);
        let trained: HashSet<ParamId> = layers.flat_map(|(layer, _)| layer.params.iter().copied()).collect();
        let uses = model.uses(|id| trained.contains(&id));
        let maskable = model.params.pairs().zip(work).filter(|((_, param), _)| param.is_multiplied);
        maskable
            .map(|((id, param), work)| {
                let [forward, feeds_back] = uses[id.0].map(|times| times as f64);
                let gradient = if trained.contains(&id) { forward * work.gradient } else { 0.0 };
                // Shares are of what there was before filters were removed.
                let whole = self.whole_shape(id).iter().product::<usize>() as f64 / param.len().max(1) as f64;
                whole
                    * param.product(self.columns()).flops() as f64
                    * f64::from(self.recipe.run.accumulate)
                    * ((forward + feeds_back) * work.forward + gradient)
            })
            .sum()
    }

    /// Those of the whole stage; `None` where its densities are learned, and known only when it is over.
    ///
    /// # Errors
    /// As those of budgets.
    pub fn planned_flops(&self) -> Result<Option<TrainFlops>> {
        let is_learned = self.pruner.as_ref().is_some_and(Pruner::is_learned);
        (!is_learned).then(|| self.train_flops(self.length.steps)).transpose()
    }
}
