//! What the products of a run come to, by the density that each step has: how methods are compared at equal training.

use super::event::TrainFlops;
use super::session::Session;
use crate::error::Result;
use crate::sparsity::{Pruner, Work};

impl Session {
    /// The operations of the first `steps` steps, done or not, and those of a dense network: two for each weight and
    /// column, forward, in the input gradient where one is asked for, and in the weight gradient. Layers that are still
    /// frozen count as the others do; where thresholds are learned every step counts as dense.
    ///
    /// # Errors
    /// As those of budgets.
    pub fn train_flops(&self, steps: u64) -> Result<TrainFlops> {
        let params = self.model.params();
        let full = vec![Work { forward: steps as f64, gradient: steps as f64 }; params.len()];
        let work = self.pruner.as_ref().map_or(Ok(full.clone()), |pruner| pruner.work(steps))?;
        let sum = |work: &[Work]| -> f64 {
            let maskable = params.iter().zip(work).filter(|(param, _)| param.is_maskable());
            let products = |work: &Work, feeds_back| {
                work.forward * (1.0 + f64::from(u8::from(feeds_back))) + work.gradient
            };
            maskable
                .map(|(param, work)| {
                    2.0 * (param.len() * self.columns()) as f64 * products(work, param.feeds_back)
                })
                .sum()
        };
        Ok(TrainFlops { kept: sum(&work), dense: sum(&full) })
    }

    /// Those of the whole run; `None` where its densities are learned, and known only when it is over.
    ///
    /// # Errors
    /// As those of budgets.
    pub fn planned_flops(&self) -> Result<Option<TrainFlops>> {
        let is_learned = self.pruner.as_ref().is_some_and(Pruner::is_learned);
        (!is_learned).then(|| self.train_flops(self.length.steps)).transpose()
    }
}
