//! Mask updates that leave the number of weights as it is: some are dropped, as many grown elsewhere.
//!
//! Per tensor (Evci et al., 2020): of n weights the `trunc(n f)` smallest are dropped; as many are grown where the
//! gradient of the step's batch is largest among all that is not kept, the just dropped included. One that is dropped
//! and grown at once keeps its value and its slots; a new one starts at 0, and so do its slots.

use std::ops::Range;

use super::prune::picked;
use super::running::{Found, Running};
use super::topk::Selection;
use super::{LayerChange, Length, Outcome, candidates, merge, not_numbers, record_zeros};
use crate::error::{Error, Result};
use crate::gpu::{Dtype, Gpu, Phase, Plan, Recorder, Tensor};
use crate::ops::packed::{Index, Pattern};
use crate::param::Param;
use crate::recipe::{
    Curve as Shape, PruneSchedule, Settings, drop_constant, drop_cosine, drop_exponential, unknown,
};

/// Which share of the weights is dropped and grown, and when.
pub struct Regrowth {
    curve: Curve,
    start: f64,
    power: f64,
    schedule: PruneSchedule,
}

#[derive(Clone, Copy, PartialEq)]
enum Curve {
    Constant,
    Cosine,
    Exponential,
}

impl Regrowth {
    /// Reads `growth` of a method's settings; the fraction falls from the schedule's begin to its end.
    pub fn read(growth: &Settings, schedule: PruneSchedule) -> Result<Self> {
        if growth.text("by")? != "gradient" {
            return Err(growth.locate("by", unknown("growth", growth.text("by")?, ["gradient"])));
        }
        if schedule.kind == Shape::OneShot {
            return Err(Error::usage(
                "weights grow again and again: a one-shot schedule has no updates for that",
            )
            .hint("schedule = { begin = \"0\", end = \"75%\", every = \"100\" }"));
        }
        let fraction = growth.table("fraction")?;
        let curves =
            [("constant", Curve::Constant), ("cosine", Curve::Cosine), ("exponential", Curve::Exponential)];
        let name = fraction.text("type")?;
        let found = curves.iter().find(|(known, _)| *known == name);
        let known = || unknown("curve", name, curves.iter().map(|(known, _)| *known));
        let (_, curve) = found.ok_or_else(|| fraction.locate("type", known()))?;
        let start = fraction.f64("start")?;
        if !(start > 0.0 && start <= 1.0) {
            return Err(fraction.wrong("start", "a number above 0 and up to 1"));
        }
        let power = fraction.f64("power")?;
        if !(power > 0.0) {
            return Err(fraction.wrong("power", "a number above 0"));
        }
        Ok(Self { curve: *curve, start, power, schedule })
    }

    /// The share at `step`.
    fn fraction(&self, step: u64, length: Length) -> f64 {
        let (begin, end) = self.schedule.bounds(length.steps, length.steps_per_epoch);
        match self.curve {
            Curve::Constant => drop_constant(self.start, step, end),
            Curve::Cosine => drop_cosine(self.start, step, begin, end),
            Curve::Exponential => drop_exponential(self.start, self.power, step, begin, end),
        }
    }
    /// How many of `kept` weights are dropped at `step`.
    pub fn drops(&self, kept: usize, step: u64, length: Length) -> usize {
        (kept as f64 * self.fraction(step, length) + 1e-9 * kept as f64).trunc() as usize
    }
    /// The most that are ever dropped of `kept` weights.
    fn most(&self, kept: usize) -> usize {
        (kept as f64 * self.start + 1e-9 * kept as f64).trunc() as usize
    }
}

/// Records the gradient of some rows of a parameter, also where nothing is kept.
pub type DenseGrad<'a> = dyn Fn(&mut Recorder, usize, Range<usize>, &Tensor) -> Result<()> + 'a;

/// The recorded update: one part a tensor.
pub struct Regrow {
    parts: Vec<Part>,
    running: Option<Running>,
}

struct Part {
    param: usize,
    /// The weights that exist.
    kept: usize,
    keep: Selection,
    how: How,
    plan: Plan,
}

enum How {
    /// Masks are merged on the device; three counts say how.
    Masked { grow: Box<Selection>, counts: Tensor },
    /// What is grown is found tile by tile.
    Packed { found: Found },
}

impl Regrow {
    /// Records the update of parameters that keep so many weights each.
    pub fn record(
        gpu: &Gpu,
        regrowth: &Regrowth,
        tensors: &[(usize, usize)],
        params: &[&Param],
        slots: &dyn Fn(usize) -> Vec<Vec<Tensor>>,
        grads: &DenseGrad,
    ) -> Result<Self> {
        let packed = || tensors.iter().filter(|(param, _)| params[*param].packed.is_some());
        let shapes: Vec<_> = packed().map(|&(i, _)| (params[i].shape[0], params[i].shape[1])).collect();
        let most = packed().map(|&(_, kept)| regrowth.most(kept)).max().unwrap_or(0);
        let running = if shapes.is_empty() { None } else { Some(Running::new(gpu, &shapes, most.max(1))?) };
        // Scores of masked tensors: one after another uses the same memory.
        let mut scratch: Vec<Tensor> = Vec::new();
        let masked = tensors.iter().filter(|(param, _)| params[*param].packed.is_none());
        let blocks = || masked.clone().map(|&(param, _)| &params[param].blocks);
        for block in 0..blocks().map(Vec::len).max().unwrap_or(0) {
            let len = blocks().filter_map(|b| b.get(block)).map(|b| b.weight.len()).max().unwrap_or(0);
            scratch.push(gpu.tensor("scores", Dtype::F32, &[len])?);
        }
        let mut parts = Vec::new();
        for &(index, kept) in tensors {
            let param = params[index];
            let mut rec = Recorder::new(gpu);
            rec.phase(Phase::Masks);
            rec.scope(&param.name);
            let (keep, how) = match (&param.packed, &running) {
                (Some(packed), Some(running)) => {
                    let keep = Selection::over(&mut rec, &[(&param.blocks[0].weight, &packed.picked)])?;
                    let (rows, inner) = (param.shape[0], param.shape[1]);
                    let found = running.record(&mut rec, rows, inner, |rec, own, tile| {
                        grads(rec, index, own.clone(), tile)?;
                        strike(rec, &packed.index, &packed.picked, own, tile)
                    })?;
                    (keep, How::Packed { found })
                }
                _ => masked_part(&mut rec, param, &scratch, &slots(index))?,
            };
            parts.push(Part { param: index, kept, keep, how, plan: rec.finish()? });
        }
        Ok(Self { parts, running })
    }

    /// Drops and grows, tensor by tensor.
    ///
    /// # Errors
    /// `Kind::Numbers` if a weight or a gradient is not a number, with the layer's name.
    pub fn update(
        &self,
        step: u64,
        length: Length,
        regrowth: &Regrowth,
        params: &[&Param],
    ) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        for part in &self.parts {
            let param = params[part.param];
            let drops = regrowth.drops(part.kept, step, length);
            let mut layer = LayerChange { kept: part.kept, ..LayerChange::none(param) };
            if drops > 0 {
                part.keep.keep(part.kept - drops)?;
                let pattern = self.run(part, drops, step, param, &mut layer)?;
                outcome.patterns.extend(pattern.map(|pattern| (part.param, pattern)));
            }
            if layer.kept != part.kept && !part.plan.gpu().is_counted() {
                let what = format!("a mask update of `{}` kept {} weights", param.name, layer.kept);
                return Err(
                    Error::internal(format!("{what} instead of {}", part.kept)).at(format!("step {step}"))
                );
            }
            outcome.layers.push(layer);
        }
        Ok(outcome)
    }

    fn run(
        &self,
        part: &Part,
        drops: usize,
        step: u64,
        param: &Param,
        layer: &mut LayerChange,
    ) -> Result<Option<Pattern>> {
        let nans = |selection: &Selection| -> Result<u32> {
            Ok(selection.counts()?.iter().map(|count| count.nans).sum())
        };
        let weights = || not_numbers(nans(&part.keep)?, "weights", &param.name, step);
        match (&part.how, &self.running, &param.packed) {
            (How::Packed { found }, Some(running), Some(packed)) => {
                running.keep(drops)?;
                part.plan.replay()?;
                weights()?;
                not_numbers(running.nans()?, "gradients", &param.name, step)?;
                if part.plan.gpu().is_counted() {
                    return Ok(None);
                }
                let before = &packed.index.pattern;
                let keep = picked(before, &packed.picked.read_u32()?);
                let grown = running.places(found, drops)?;
                let after = joined(&keep, &grown);
                let new = after.origin(before).iter().filter(|origin| origin.is_none()).count();
                (layer.kept, layer.grown, layer.dropped) =
                    (after.kept(), new, before.kept() - (after.kept() - new));
                Ok(Some(after))
            }
            (How::Masked { grow, counts }, ..) => {
                grow.keep(drops)?;
                counts.write(&[0u32; 3])?;
                part.plan.replay()?;
                weights()?;
                not_numbers(nans(grow)?, "gradients", &param.name, step)?;
                let words = counts.read_u32()?;
                (layer.kept, layer.grown, layer.dropped) =
                    (words[0] as usize, words[1] as usize, words[2] as usize);
                Ok(None)
            }
            _ => {
                Err(Error::internal("a parameter changed its storage, and its update was not recorded anew"))
            }
        }
    }

    /// The update's dispatches.
    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.parts.iter().map(|part| &part.plan)
    }
}

fn masked_part(
    rec: &mut Recorder,
    param: &Param,
    scratch: &[Tensor],
    slots: &[Vec<Tensor>],
) -> Result<(Selection, How)> {
    let gpu = rec.gpu.clone();
    let bits = |what: &str| -> Result<Vec<Tensor>> {
        param.blocks.iter().map(|block| gpu.tensor(what, Dtype::U32, &[block.mask.len()])).collect()
    };
    let (keep_bits, grow_bits) = (bits("keep")?, bits("grow")?);
    let scores: Vec<Tensor> =
        param.blocks.iter().zip(scratch).map(|(block, s)| s.first(&[block.weight.len()])).collect();
    for (block, score) in param.blocks.iter().zip(&scores) {
        candidates::record_choose(rec, &block.weight, &block.mask, true, score)?;
    }
    let keep = Selection::over(rec, &scores.iter().zip(&keep_bits).collect::<Vec<_>>())?;
    for ((block, score), bits) in param.blocks.iter().zip(&scores).zip(&keep_bits) {
        candidates::record_choose(rec, &block.grad, bits, false, score)?;
    }
    let grow = Selection::over(rec, &scores.iter().zip(&grow_bits).collect::<Vec<_>>())?;
    let counts = gpu.tensor("merge counts", Dtype::U32, &[3])?;
    for (number, block) in param.blocks.iter().enumerate() {
        merge::record(rec, &keep_bits[number], &grow_bits[number], &block.mask, &counts)?;
        record_zeros(rec, param.flow, block, &slots[number])?;
    }
    Ok((keep, How::Masked { grow: Box::new(grow), counts }))
}

fn strike(
    rec: &mut Recorder,
    index: &Index,
    picked: &Tensor,
    own: Range<usize>,
    tile: &Tensor,
) -> Result<()> {
    candidates::record_strike(rec, index, picked, own.start, own.len(), tile)
}

/// A pattern of single weights and more places, which it does not have.
fn joined(keep: &Pattern, grown: &[u32]) -> Pattern {
    let mut places: Vec<u32> = keep.places().chain(grown.iter().copied()).collect();
    places.sort_unstable();
    Pattern::from_places(keep.form, keep.rows, keep.inner, &places)
}
