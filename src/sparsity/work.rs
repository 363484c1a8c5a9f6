//! How much of each weight the products of a run need: what training costs by the density that each step has.
//!
//! Bambhaniya et al., 2024, compare recipes at equal training FLOPs, summed over steps so.

use super::pruner::Pruner;
use crate::error::Result;
use crate::param::MaskMode;

/// Sums over steps, of a parameter: the share of its weights that the forward pass and the input gradient use, and the
/// share whose gradient is computed. A step of a dense network counts 1 each.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    pub forward: f64,
    pub gradient: f64,
}

impl Pruner {
    /// The work of the steps up to each of `ends`, which rise, from the one before it or from the first step, by
    /// parameter, as if all layers trained. Where one threshold serves several tensors, each is taken to have the density of all; where layers share what they have dropped, to keep that of the start; where thresholds are
    /// learned, every step counts as dense.
    ///
    /// # Errors
    /// As those of budgets.
    pub fn work(&self, ends: &[u64]) -> Result<Vec<Vec<Work>>> {
        let mut spans = vec![vec![Work::default(); self.names.len()]; ends.len()];
        let mut density = self.start_density.clone();
        let by_gradient = self.grows_by_gradient();
        for step in 0..ends.last().copied().unwrap_or(0) {
            let all = &mut spans[ends.partition_point(|&end| end <= step)];
            let due = self.due(step);
            if let Some(sparsity) = due.filter(|_| self.method.mask_mode() != MaskMode::Flowing) {
                let keeps = self.keeps(step, sparsity)?;
                match &self.filters {
                    Some(filters) => density = filters.channels().densities(&keeps),
                    None => {
                        for ((members, group), keep) in
                            self.members.iter().zip(&self.budget.groups).zip(keeps)
                        {
                            members
                                .iter()
                                .for_each(|&i| density[i.0] = keep as f64 / group.len.max(1) as f64);
                        }
                    }
                }
            }
            let flows = self.method.mask_mode() == MaskMode::Flowing && !self.is_frozen(step);
            let dense_gradient = flows || self.method.mean().is_some() || by_gradient && due.is_some();
            let more = self.method.backward_set().unwrap_or(0.0);
            for (i, (work, density)) in all.iter_mut().zip(&density).enumerate() {
                let forward = self.passes(i, step).unwrap_or(*density);
                work.forward += forward;
                work.gradient += if dense_gradient { 1.0 } else { (forward + more).min(1.0) };
            }
        }
        Ok(spans)
    }

    /// The share that a flowing mask lets through; all, while pruned weights still count.
    fn passes(&self, param: usize, step: u64) -> Option<f64> {
        let (keep, of) = self.patterns[param]?;
        let gate = self.method.gate(step, self.length, keep, of)?;
        Some(if gate.decay > 0.0 { 1.0 } else { f64::from(gate.keep) / f64::from(gate.group) })
    }
}
