//! The backward set: of weights that keep a value behind their mask, those that are trained all the same.
//!
//! Top-KAST (Jayakumar et al., 2020, Section 2.2): kept are the largest magnitudes of a group, trained are these and
//! some more of the largest. A weight that leaves the set loses its slots, so that momentum does not move it on.

use super::hold;
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Phase, Plan, Recorder, Tensor};
use crate::param::{ParamId, ParamSet};
use crate::sparsity::select::protect;
use crate::sparsity::select::topk::Selection;

/// The recorded selection.
pub struct BackwardSet {
    selections: Vec<Selection>,
    plan: Plan,
}

impl BackwardSet {
    /// Records the selection in groups of parameters.
    pub fn record(gpu: &Gpu, groups: &[Vec<ParamId>], params: &ParamSet) -> Result<Self> {
        let mut rec = Recorder::new(gpu);
        rec.phase(Phase::Masks);
        let mut selections = Vec::new();
        for members in groups {
            rec.scope(if members.len() == 1 { &params[members[0]].name } else { "all" });
            let mut scored = Vec::new();
            for &i in members {
                let values: Vec<Tensor> = params[i].stored().into_iter().cloned().collect();
                scored.extend(protect::scores(&mut rec, &params[i], &values)?);
            }
            let sets = members.iter().flat_map(|&i| params[i].trained());
            selections.push(Selection::over(&mut rec, &scored.iter().zip(sets).collect::<Vec<_>>())?);
            for &i in members {
                rec.scope(&params[i].name);
                let segments = &mut (0..params[i].segments.len());
                segments.try_for_each(|segment| hold::record_slots(&mut rec, &params[i], segment))?;
            }
        }
        Ok(Self { selections, plan: rec.finish()? })
    }

    /// Selects as many of each group as are to be trained.
    pub fn update(&self, step: u64, trained: &[usize]) -> Result<()> {
        for (selection, &count) in self.selections.iter().zip(trained) {
            selection.keep(count)?;
        }
        self.plan.replay()?;
        for (selection, &count) in self.selections.iter().zip(trained) {
            let got: usize = selection.counts()?.iter().map(|own| own.kept as usize).sum();
            if got != count && !self.plan.gpu().is_counted() {
                let what = format!("a mask update trains {got} weights instead of {count}");
                return Err(Error::internal(what).at(format!("step {step}")));
            }
        }
        Ok(())
    }

    /// The selection's dispatches.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}
