//! Mask updates within a session: parameters change their storage, and the optimizer rests or begins anew.

use super::plans::Plans;
use super::session::Session;
use crate::error::{Error, Result};
use crate::gpu::Recorder;
use crate::ops::packed::Pattern;
use crate::param::{MaskMode, Param, ParamId, kept};
use crate::sparsity::{Change, Pruner, Renewal, update::hold};

/// What a mask keeps of a parameter.
fn pattern(param: &Param, mask: &[u32]) -> Result<Pattern> {
    let what = || format!("the mask of `{}` is not {}", param.name, param.form.name());
    param.pattern(mask).ok_or_else(|| Error::internal(what()))
}

impl Session {
    /// Updates the masks if that is due, and gives parameters that are to be packed from now on their new storage. It is
    /// the part of [`Session::advance`] that comes after the gradients, for those who want its time.
    ///
    /// # Errors
    /// `Kind::Device`, or `Kind::Numbers` if it meets a weight that is not a number.
    pub fn update_masks(&mut self) -> Result<Option<Change>> {
        let Some(pruner) = &self.pruner else { return Ok(None) };
        let again = |look| self.look(look);
        let Some((mut change, mut renewals)) = pruner.update(self.step, &self.model.params, &again)? else {
            return Ok(None);
        };
        change.step += self.before;
        let mut laid_out = Vec::new();
        for (id, param) in self.model.params.pairs() {
            let renewal = match renewals.iter().position(|renewal| renewal.param == id) {
                Some(position) => renewals.swap_remove(position),
                None if param.packed().is_some() || param.mask_mode() != MaskMode::Held => continue,
                None if !pruner.may_pack(id) => continue,
                None => {
                    let mask = param.read_mask()?;
                    if !pruner.packs(id, kept(&mask), param.len()) {
                        continue;
                    }
                    let pattern = pattern(param, &mask)?;
                    // What has grown has its value already.
                    Renewal { param: id, pattern, grown: Vec::new() }
                }
            };
            laid_out.push(renewal);
        }
        self.pruner.iter_mut().for_each(Pruner::settle);
        // What is recorded holds on to the memory of before: it goes first, where there will be other.
        let entries = |id: ParamId| self.model.params[id].packed().map(|p| p.index.pattern.entries());
        let renewed = laid_out.iter().any(|one| entries(one.param) != Some(one.pattern.entries()));
        if renewed {
            self.plans = Plans::none(&self.gpu)?;
            self.pruner.iter_mut().for_each(Pruner::forget);
        }
        for Renewal { param: id, pattern, grown } in laid_out {
            // Where layers share what they have dropped, one may outgrow what pays.
            let packs = |pruner: &Pruner| pruner.packs(id, pattern.kept(), pattern.len());
            let packed = self.pruner.as_ref().is_some_and(packs);
            let param = &mut self.model.params[id];
            param.repack(&self.gpu, packed, pattern, &grown)?;
        }
        if renewed {
            self.record()?;
        }
        if self.pruner.as_ref().is_some_and(|pruner| pruner.freezes(self.step)) {
            self.hold_masks()?;
        }
        for layer in &mut change.layers {
            let param = self.model.params.named(&layer.name).map(|id| &self.model.params[id]);
            layer.storage = param.map_or(layer.storage, |param| param.storage.name());
        }
        if self.pruner.as_ref().is_some_and(Pruner::chooses_by_gradient) {
            self.clear_frozen()?;
        }
        self.rewind()?;
        self.begin_averages()?;
        Ok(Some(change))
    }

    /// Holds masks that flowed: of pruned weights nothing is left, nor of their slots; what is kept may be packed.
    pub(super) fn hold_masks(&mut self) -> Result<()> {
        self.pruner.as_ref().map_or(Ok(()), Pruner::show_hard)?;
        self.plans = Plans::none(&self.gpu)?;
        let Some(pruner) = &mut self.pruner else { return Ok(()) };
        pruner.forget();
        pruner.freeze();
        for id in self.model.params.ids() {
            let param = &mut self.model.params[id];
            if param.mask_mode() != MaskMode::Flowing {
                continue;
            }
            param.hold();
            let mut rec = Recorder::new(&self.gpu);
            (0..param.segments.len()).try_for_each(|segment| hold::record_slots(&mut rec, param, segment))?;
            rec.finish()?.replay()?;
            let mask = param.read_mask()?;
            if pruner.packs(id, kept(&mask), param.len()) {
                let pattern = pattern(param, &mask)?;
                param.repack(&self.gpu, true, pattern, &[])?;
            }
        }
        self.record()
    }

    /// Whether the optimizer rests in this step.
    pub(super) fn rests(&self) -> bool {
        self.pruner.as_ref().is_some_and(|pruner| pruner.rests(self.step))
    }
    /// Where the optimizer begins anew at this step, its slots become 0.
    pub(super) fn reset(&mut self) -> Result<()> {
        if !self.pruner.as_ref().is_some_and(|pruner| pruner.resets(self.step)) {
            return Ok(());
        }
        self.updates = 0;
        self.model.params.iter().try_for_each(Param::clear_slots)
    }
}
