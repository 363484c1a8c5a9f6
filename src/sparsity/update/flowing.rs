//! Masks that flow: pruned weights keep their value and receive a gradient, and N of every M are chosen anew from all
//! values before every forward pass.
//!
//! What the forward pass sees of a pruned weight is `decay` times its value: 0 for SR-STE, a falling number for MdGf.
//! The host writes a few numbers a step; which weights are kept the device decides.

use crate::error::Result;
use crate::gpu::{Dtype, Gpu, Phase, Plan, Recorder, Tensor, Uniform};
use crate::ops::packed::Form;
use crate::param::{MaskMode, Param, ParamId, ParamSet, RECORDED};
use crate::sparsity::structure::alike::{Alike, record_pass};
use crate::sparsity::structure::groups::{self, Gate};
use crate::sparsity::{LayerChange, Length, not_numbers, select::merge};

/// The number that a pattern has at a step: what is kept of how many inputs, and what is left of the others.
pub type GateOf<'a> = dyn Fn(u64, Length, usize, usize) -> Option<Gate> + 'a;

/// All parameters whose masks flow.
pub struct Flowing {
    members: Vec<Member>,
    /// Makes masks and what the forward pass sees.
    show: Plan,
    /// Compares the masks with those that were recorded last, and records them.
    note: Plan,
}

struct Member {
    param: ParamId,
    keep: usize,
    of: usize,
    gate: Uniform,
    /// Where parts of it are pruned alike.
    alike: Option<Alike>,
    nans: Tensor,
    /// Kept, grown and dropped since the last record.
    changes: Tensor,
}

impl Flowing {
    /// Records what belongs to parameters with flowing masks; `None` if there are none.
    pub fn new(gpu: &Gpu, params: &mut ParamSet) -> Result<Option<Self>> {
        let mut members = Vec::new();
        for id in params.ids().filter(|&id| params[id].mask_mode() == MaskMode::Flowing).collect::<Vec<_>>() {
            let Form::Groups { keep, of } = params[id].form else { continue };
            params[id].accompany_by_ones(gpu, RECORDED)?;
            members.push(Member {
                param: id,
                keep,
                of,
                gate: gpu.uniform("gate", &hard(keep, of))?,
                alike: Alike::new(gpu, &params[id])?,
                nans: gpu.tensor("not numbers", Dtype::U32, &[1])?,
                changes: gpu.tensor("mask changes", Dtype::U32, &[3])?,
            });
        }
        if members.is_empty() {
            return Ok(None);
        }
        let (mut show, mut note) = (Recorder::new(gpu), Recorder::new(gpu));
        [&mut show, &mut note].into_iter().for_each(|rec| rec.phase(Phase::Masks));
        for member in &members {
            let param = &params[member.param];
            member.record(&mut show, param)?;
            note.scope(&param.name);
            for (segment, recorded) in param.segments.iter().zip(param.tensors(RECORDED)) {
                merge::record(&mut note, &segment.mask, &segment.mask, recorded, &member.changes)?;
            }
        }
        Ok(Some(Self { members, show: show.finish()?, note: note.finish()? }))
    }

    /// Records the making of masks and forward weights, at the start of every step.
    pub fn record(&self, rec: &mut Recorder, params: &ParamSet) -> Result<()> {
        rec.phase(Phase::Masks);
        self.members.iter().try_for_each(|member| member.record(rec, &params[member.param]))
    }

    /// Sets the numbers of a step.
    pub fn open(&self, step: u64, length: Length, gate: &GateOf) -> Result<()> {
        self.members.iter().try_for_each(|member| {
            let numbers = gate(step, length, member.keep, member.of);
            member.gate.write(&numbers.unwrap_or(hard(member.keep, member.of)))
        })
    }

    /// Makes masks and forward weights as they are at the end: the pattern itself, and nothing of what is pruned.
    pub fn show_hard(&self) -> Result<()> {
        self.members.iter().try_for_each(|m| m.gate.write(&hard(m.keep, m.of)))?;
        self.show.replay()
    }
    /// As [`Flowing::show_hard`], as they are at a step.
    pub fn show(&self, step: u64, length: Length, gate: &GateOf) -> Result<()> {
        self.open(step, length, gate)?;
        self.show.replay()
    }

    /// Whether the forward pass of a step sees other weights than at the end.
    pub fn is_soft(&self, step: u64, length: Length, gate: &GateOf) -> bool {
        let gate = |m: &Member| gate(step, length, m.keep, m.of).unwrap_or(hard(m.keep, m.of));
        self.members.iter().any(|member| gate(member) != hard(member.keep, member.of))
    }

    /// What has changed since this was last asked, as of the masks that `step` begins with.
    ///
    /// # Errors
    /// `Kind::Numbers` if a weight is not a number, with the layer's name.
    pub fn changes(
        &self,
        step: u64,
        length: Length,
        gate: &GateOf,
        params: &ParamSet,
    ) -> Result<Vec<LayerChange>> {
        for member in &self.members {
            member.changes.write(&[0u32; 3])?;
            member.nans.write(&[0u32])?;
        }
        self.show(step, length, gate)?;
        self.note.replay()?;
        let mut layers = Vec::new();
        for member in &self.members {
            let param = &params[member.param];
            not_numbers(member.nans.read_u32()?[0], "weights", &param.name, step)?;
            let words = member.changes.read_u32()?;
            let [kept, grown, dropped] = [0, 1, 2].map(|i| words[i] as usize);
            layers.push(LayerChange { kept, grown, dropped, ..LayerChange::none(param) });
        }
        Ok(layers)
    }

    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        [&self.show].into_iter()
    }
}

impl Member {
    fn record(&self, rec: &mut Recorder, param: &Param) -> Result<()> {
        rec.scope(&param.name);
        for (segment, values) in param.segments.iter().zip(param.stored()) {
            let (mask, weight) = (&segment.mask, &segment.weight);
            let (gate, of, nans) = (&self.gate, self.of, &self.nans);
            match &self.alike {
                Some(alike) => {
                    alike.record_mark(rec, gate, of, values, mask, nans)?;
                    record_pass(rec, gate, values, mask, weight)?;
                }
                None => groups::record_gate(rec, gate, of, values, mask, weight, nans)?,
            }
        }
        Ok(())
    }
}

/// The pattern itself.
fn hard(keep: usize, of: usize) -> Gate {
    Gate { keep: keep as u32, group: of as u32, decay: 0.0 }
}
