//! Running statistics of a model: each step moves them by what its batch showed, as an optimizer moves weights.
//!
//! A training pass leaves what it observed in the gradients of statistics. They move with the update of a step, not with its
//! forward pass: where a batch is passed again for masks, where the optimizer rests, and once a loss is not finite, they
//! stay as they are.

use super::model::Model;
use crate::error::Result;
use crate::gpu::{Bind, Phase, Recorder, Tensor, Uniform};
use crate::ops::running::{self, Pace};

/// Statistics that follow each other in memory.
struct Run<'a> {
    name: &'a str,
    momentum: f32,
    observed: Tensor,
    value: Tensor,
}

impl Model {
    /// Records how running statistics of layers that train take over what the pass before has observed. Nothing changes once
    /// the flag of `totals` is up.
    pub fn record_statistics(&self, rec: &mut Recorder, totals: &Tensor) -> Result<()> {
        self.track(rec, totals, None)
    }

    /// As [`Model::record_statistics`], by a momentum that the host writes: a [`Pace`].
    pub fn record_statistics_by(&self, rec: &mut Recorder, totals: &Tensor, pace: &Uniform) -> Result<()> {
        self.track(rec, totals, Some(pace))
    }

    fn track(&self, rec: &mut Recorder, totals: &Tensor, pace: Option<&Uniform>) -> Result<()> {
        rec.phase(Phase::Update);
        let mut runs: Vec<Run> = Vec::new();
        for param in self.params.iter().filter(|param| !param.frozen) {
            let Some(momentum) = param.momentum else { continue };
            for segment in &param.segments {
                let joined = runs.iter_mut().find_map(|run| {
                    let same = run.momentum == momentum || pace.is_some();
                    let (observed, value) =
                        (run.observed.through(&segment.grad)?, run.value.through(&segment.weight)?);
                    same.then(|| (run.observed, run.value) = (observed, value))
                });
                if joined.is_none() {
                    let (observed, value) = (segment.grad.clone(), segment.weight.clone());
                    runs.push(Run { name: &param.name, momentum, observed, value });
                }
            }
        }
        for Run { name, momentum, observed, value } in runs {
            rec.scope(name);
            let own = Pace { momentum };
            let pace = pace.map_or_else(|| Bind::from(&own), Bind::from);
            running::record(rec, pace, &observed, &value, totals)?;
        }
        Ok(())
    }
}
