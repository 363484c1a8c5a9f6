//! All parameters with a learned soft threshold: the state that belongs to them, and what is recorded for a step.

use super::threshold::{self, Rule};
use crate::error::Result;
use crate::gpu::{Dtype, Gpu, Phase, Plan, Recorder, Tensor, Uniform};
use crate::param::{Like, Param, ParamId, ParamSet, RECORDED, THRESHOLD, kept};
use crate::sparsity::{LayerChange, not_numbers, select::merge};

/// Thresholds, and what has become of masks.
pub struct Soft {
    rule: Rule,
    members: Vec<Member>,
    /// Makes masks and what the forward pass sees.
    show: Plan,
    /// Compares the masks with those that were recorded last, and records them.
    note: Plan,
}

struct Member {
    param: ParamId,
    /// Sums over parts of the weight, of which the gradient of s is made.
    partial: Tensor,
    /// Weights that are not numbers.
    nans: Tensor,
    /// Kept, grown and dropped since the last record.
    changes: Tensor,
}

impl Soft {
    /// Records what belongs to all masked parameters.
    pub fn new(gpu: &Gpu, rule: Rule, params: &mut ParamSet) -> Result<Self> {
        let (mut show, mut note) = (Recorder::new(gpu), Recorder::new(gpu));
        [&mut show, &mut note].into_iter().for_each(|rec| rec.phase(Phase::Masks));
        let mut members = Vec::new();
        for id in params.ids().filter(|&id| params[id].is_masked()).collect::<Vec<_>>() {
            let param = &mut params[id];
            param.accompany(gpu, THRESHOLD, Like::Scalar)?;
            param.tensors(THRESHOLD)[0].write(&[rule.start])?;
            param.accompany_by_ones(gpu, RECORDED)?;
            let parts = param.segments.iter().map(|segment| threshold::partials(segment.weight.len())).sum();
            let member = Member {
                param: id,
                partial: gpu.tensor("partial", Dtype::F32, &[parts])?,
                nans: gpu.tensor("not numbers", Dtype::U32, &[1])?,
                changes: gpu.tensor("mask changes", Dtype::U32, &[3])?,
            };
            member.record(&mut show, param)?;
            note.scope(&param.name);
            for (segment, recorded) in param.segments.iter().zip(param.tensors(RECORDED)) {
                merge::record(&mut note, &segment.mask, &segment.mask, recorded, &member.changes)?;
            }
            members.push(member);
        }
        Ok(Self { rule, members, show: show.finish()?, note: note.finish()? })
    }

    /// Records the making of masks and forward weights, at the start of every step.
    pub fn record(&self, rec: &mut Recorder, params: &ParamSet) -> Result<()> {
        rec.phase(Phase::Masks);
        self.members.iter().try_for_each(|member| member.record(rec, &params[member.param]))
    }

    /// Records the derivative, after the backward pass.
    pub fn record_gradients(&self, rec: &mut Recorder, params: &ParamSet) -> Result<()> {
        rec.phase(Phase::Masks);
        for member in self.members.iter().filter(|member| !params[member.param].frozen) {
            let param = &params[member.param];
            rec.scope(&param.name);
            threshold::record_blocks(rec, param, &member.partial)?;
        }
        Ok(())
    }

    /// Records the steps of the thresholds.
    pub fn record_update(
        &self,
        rec: &mut Recorder,
        params: &ParamSet,
        step: &Uniform,
        totals: &Tensor,
    ) -> Result<()> {
        rec.phase(Phase::Update);
        for member in self.members.iter().filter(|member| !params[member.param].frozen) {
            let param = &params[member.param];
            rec.scope(&param.name);
            let threshold = &param.tensors(THRESHOLD)[0];
            threshold::record_descend(rec, self.rule.decay, &member.partial, threshold, (step, totals))?;
        }
        Ok(())
    }

    /// Makes masks and forward weights from the values of now.
    pub fn show(&self) -> Result<()> {
        self.show.replay()
    }

    /// What has changed since this was last asked, as of the masks that `step` begins with.
    ///
    /// # Errors
    /// `Kind::Numbers` if a weight or a threshold is not a number, with the layer's name.
    pub fn changes(&self, step: u64, params: &ParamSet) -> Result<Vec<LayerChange>> {
        for member in &self.members {
            member.changes.write(&[0u32; 3])?;
            member.nans.write(&[0u32])?;
        }
        self.show.replay()?;
        self.note.replay()?;
        let layer = |member: &Member| -> Result<LayerChange> {
            let param = &params[member.param];
            not_numbers(member.nans.read_u32()?[0], "weights", &param.name, step)?;
            let threshold = param.tensors(THRESHOLD)[0].read_f32()?[0];
            not_numbers(u32::from(threshold.is_nan()), "thresholds", &param.name, step)?;
            let words = member.changes.read_u32()?;
            let [kept, grown, dropped] = [0, 1, 2].map(|i| words[i] as usize);
            Ok(LayerChange { kept, grown, dropped, ..LayerChange::none(param) })
        };
        self.members.iter().map(layer).collect()
    }

    /// Weights that the masks kept when they were recorded last.
    pub fn kept(&self, params: &ParamSet) -> Result<usize> {
        let masks = self.members.iter().flat_map(|member| params[member.param].tensors(RECORDED));
        masks.map(|mask| Ok(kept(&mask.read_u32()?))).sum()
    }

    pub fn plan(&self) -> &Plan {
        &self.show
    }
}

impl Member {
    fn record(&self, rec: &mut Recorder, param: &Param) -> Result<()> {
        rec.scope(&param.name);
        let threshold = &param.tensors(THRESHOLD)[0];
        param.segments.iter().zip(param.stored()).try_for_each(|(b, values)| {
            threshold::record_forward(rec, threshold, values, &b.mask, &b.weight, &self.nans)
        })
    }
}
