//! Mask updates that prune: the largest magnitudes stay, within each group of tensors.

use super::topk::Selection;
use super::{LayerChange, Outcome, not_numbers, record_zeros};
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Phase, Plan, Recorder, Tensor};
use crate::ops::packed::Pattern;
use crate::param::Param;

/// The recorded update.
pub struct Prune {
    selections: Vec<Selection>,
    /// By group, by member block: the parameter it belongs to.
    owners: Vec<Vec<usize>>,
    pub plan: Plan,
}

impl Prune {
    /// Records the update of groups of parameters. `slots` are the optimizer's, by parameter and block: zeroed
    /// where a weight is.
    pub fn record(
        gpu: &Gpu,
        groups: &[Vec<usize>],
        params: &[&Param],
        slots: &dyn Fn(usize) -> Vec<Vec<Tensor>>,
    ) -> Result<Self> {
        let mut rec = Recorder::new(gpu);
        rec.phase(Phase::Masks);
        let (mut selections, mut owners) = (Vec::new(), Vec::new());
        for members in groups {
            let blocks =
                || members.iter().flat_map(|&i| params[i].blocks.iter().map(move |block| (i, block)));
            // Of a packed weight, the values that exist are selected from; what is pruned stays pruned.
            let mask = |i: usize, masked| match &params[i].packed {
                Some(packed) => &packed.picked,
                None => masked,
            };
            let pairs: Vec<_> = blocks().map(|(i, block)| (block.stored(), mask(i, &block.mask))).collect();
            rec.scope(if members.len() == 1 { &params[members[0]].name } else { "all" });
            selections.push(Selection::over(&mut rec, &pairs)?);
            owners.push(blocks().map(|(i, _)| i).collect());
            for &i in members.iter().filter(|&&i| params[i].packed.is_none()) {
                rec.scope(&params[i].name);
                for (block, slots) in params[i].blocks.iter().zip(slots(i)) {
                    record_zeros(&mut rec, params[i].flow, block, &slots)?;
                }
            }
        }
        Ok(Self { selections, owners, plan: rec.finish()? })
    }

    /// Prunes each group to the number that it keeps, and checks the counts: they are exact or an error.
    ///
    /// # Errors
    /// `Kind::Numbers` if a weight is not a number, with the layer's name.
    pub fn update(&self, step: u64, keeps: &[usize], params: &[&Param]) -> Result<Outcome> {
        for (selection, &keep) in self.selections.iter().zip(keeps) {
            selection.keep(keep)?;
        }
        self.plan.replay()?;
        let mut outcome = Outcome::default();
        for ((selection, owners), &keep) in self.selections.iter().zip(&self.owners).zip(keeps) {
            let counts = selection.counts()?;
            for (count, &owner) in counts.iter().zip(owners) {
                let param = params[owner];
                not_numbers(count.nans, "weights", &param.name, step)?;
                if outcome.layers.last().is_none_or(|layer| layer.name != param.name) {
                    outcome.layers.push(LayerChange::none(param));
                }
                let layer = outcome.layers.last_mut().expect("just pushed");
                layer.kept += count.kept as usize;
                match &param.packed {
                    // The bits of the last selection mean nothing here.
                    Some(packed) => layer.dropped += packed.index.pattern.kept() - count.kept as usize,
                    None => {
                        layer.grown += count.grown as usize;
                        layer.dropped += count.dropped as usize;
                    }
                }
                if let Some(packed) = &param.packed
                    && packed.index.pattern.kept() != count.kept as usize
                {
                    let bits = packed.picked.read_u32()?;
                    outcome.patterns.push((owner, picked(&packed.index.pattern, &bits)));
                }
            }
            let kept: usize = counts.iter().map(|count| count.kept as usize).sum();
            if kept != keep && !self.plan.gpu().is_counted() {
                return Err(Error::internal(format!("a mask update kept {kept} weights instead of {keep}"))
                    .at(format!("step {step}")));
            }
        }
        Ok(outcome)
    }
}

/// The entries of a pattern of single weights whose bit is set.
pub(super) fn picked(pattern: &Pattern, bits: &[u32]) -> Pattern {
    let kept = |&(entry, _): &(usize, u32)| bits[entry / 32] >> (entry % 32) & 1 == 1;
    let places: Vec<u32> = pattern.places().enumerate().filter(kept).map(|(_, place)| place).collect();
    Pattern::from_places(pattern.form, pattern.rows, pattern.inner, &places)
}
