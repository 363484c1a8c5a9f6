//! Mask updates that prune: what has the largest scores stays, within each group of tensors.
//!
//! Single weights of a group are selected from together; a tensor of blocks by itself, by one score for each block; of
//! one with an N:M pattern each group of inputs keeps its number.

use crate::error::{Error, Result};
use crate::gpu::{Dtype, Gpu, Phase, Plan, Recorder, Tensor};
use crate::ops::packed::{Form, Pattern};
use crate::param::{Param, ParamId, ParamSet};
use crate::sparsity::budget::whole_blocks;
use crate::sparsity::score::batches::Batches;
use crate::sparsity::score::probe::Probe;
use crate::sparsity::select::protect;
use crate::sparsity::select::topk::{Count, Selection};
use crate::sparsity::structure::alike::Alike;
use crate::sparsity::structure::groups::{self, Gate};
use crate::sparsity::structure::pool::{self, Blocks, Pooling};
use crate::sparsity::update::floored::Floored;
use crate::sparsity::{
    LayerChange, Look, Outcome, Renewal, not_numbers, record_zeros, score::scores, select::merge,
};

/// What weights are pruned by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Criterion {
    Magnitude,
    /// `|weight * grad|`, summed over the step's batch and those after it.
    Saliency {
        batches: u64,
    },
    /// What a weight does for the gradient's flow, of the step's batch, with logits over a temperature.
    Flow {
        temperature: f32,
    },
}

/// What computes scores from passes through the network, before anything is selected.
enum Passes {
    Batches(Batches),
    Probe(Box<Probe>),
}

/// The recorded update.
pub struct Prune {
    units: Vec<Unit>,
    passes: Option<Passes>,
    pub plan: Plan,
}

/// What is selected from at once.
enum Unit {
    /// Single weights of several tensors; the parameter of each.
    Weights { selection: Selection, owners: Vec<ParamId> },
    /// As [`Unit::Weights`], where each tensor keeps its largest in any case.
    Floored(Floored),
    /// The blocks of one tensor, of so many weights; what the mask became.
    Blocks { selection: Selection, owner: ParamId, blocks: usize, len: usize, counts: Tensor },
    /// N of every M.
    Groups { owner: ParamId, nans: Tensor, counts: Tensor },
    /// It has its pattern already.
    Done { owner: ParamId },
}

impl Prune {
    /// Records the update of groups of parameters. Of those that are selected from together each keeps `floor` weights at
    /// least.
    pub fn record(
        gpu: &Gpu,
        groups: &[Vec<ParamId>],
        params: &ParamSet,
        (criterion, pooling): (Criterion, Pooling),
        floor: &dyn Fn(ParamId) -> usize,
    ) -> Result<Self> {
        let mut rec = Recorder::new(gpu);
        rec.phase(Phase::Masks);
        let scored = scores_of(&mut rec, groups, params, criterion)?;
        let passes = match criterion {
            Criterion::Flow { temperature } => {
                let probe = Probe::record(gpu, groups, params, &scored, temperature != 1.0)?;
                Some(Passes::Probe(Box::new(probe)))
            }
            Criterion::Saliency { batches } if batches > 1 => {
                Some(Passes::Batches(Batches::record(gpu, groups, params, &scored, batches)?))
            }
            _ => None,
        };
        let scored = protected(&mut rec, groups, params, criterion, scored)?;
        let mut units = Vec::new();
        for members in groups {
            rec.scope(if members.len() == 1 { &params[members[0]].name } else { "all" });
            let param = &params[members[0]];
            units.push(match (param.form, param.packed()) {
                (Form::Free, _) if members.len() > 1 && members.iter().any(|&i| floor(i) > 0) => {
                    Unit::Floored(Floored::record(&mut rec, members, params, &scored, floor)?)
                }
                (Form::Free, _) => {
                    let mut pairs = Vec::new();
                    let mut owners = Vec::new();
                    for &i in members {
                        for (number, segment) in params[i].segments.iter().enumerate() {
                            // Of a packed weight, the values that exist are selected from.
                            let mask = params[i].packed().map_or(&segment.mask, |p| &p.picked);
                            pairs.push((&scored[i.0][number], mask));
                            owners.push(i);
                        }
                    }
                    Unit::Weights { selection: Selection::over(&mut rec, &pairs)?, owners }
                }
                (Form::Groups { .. }, Some(_)) => Unit::Done { owner: members[0] },
                (Form::Groups { keep, of }, None) => {
                    prune_groups(&mut rec, members[0], param, (keep, of), &scored[members[0].0])?
                }
                _ => prune_blocks(&mut rec, members[0], param, pooling, &scored[members[0].0])?,
            });
            for &i in members.iter().filter(|&&i| params[i].packed().is_none()) {
                rec.scope(&params[i].name);
                let segments = &mut (0..params[i].segments.len());
                segments.try_for_each(|segment| record_zeros(&mut rec, &params[i], segment))?;
            }
        }
        Ok(Self { units, passes, plan: rec.finish()? })
    }

    /// Prunes each group to the number that it keeps, and checks the counts: they are exact or an error. `again` passes
    /// a batch through the network.
    ///
    /// # Errors
    /// `Kind::Numbers` if a score is not a number, with the layer's name.
    pub fn update(
        &self,
        step: u64,
        keeps: &[usize],
        params: &ParamSet,
        again: &dyn Fn(Look) -> Result<()>,
    ) -> Result<Outcome> {
        match &self.passes {
            Some(Passes::Batches(batches)) => batches.run(again)?,
            Some(Passes::Probe(probe)) => probe.run(again)?,
            None => {}
        }
        for (unit, &keep) in self.units.iter().zip(keeps) {
            unit.prepare(keep)?;
        }
        self.plan.replay()?;
        let mut outcome = Outcome::default();
        for (unit, &keep) in self.units.iter().zip(keeps) {
            let mut kept = 0;
            for (owner, count) in unit.counts(params)? {
                let param = &params[owner];
                not_numbers(count.nans, "weights or scores", &param.name, step)?;
                if outcome.layers.last().is_none_or(|layer| layer.name != param.name) {
                    outcome.layers.push(LayerChange::none(param));
                }
                let layer = outcome.layers.last_mut().expect("just pushed");
                layer.kept += count.kept as usize;
                kept += count.kept as usize;
                match param.packed() {
                    // The bits of the last selection mean nothing here.
                    Some(packed) => layer.dropped += packed.index.pattern.kept() - count.kept as usize,
                    None => {
                        layer.grown += count.grown as usize;
                        layer.dropped += count.dropped as usize;
                    }
                }
                if let Some(packed) = param.packed()
                    && packed.index.pattern.kept() != count.kept as usize
                {
                    let bits = packed.picked.read_u32()?;
                    let pattern = picked(&packed.index.pattern, &bits);
                    outcome.renewals.push(Renewal { param: owner, pattern, grown: Vec::new() });
                }
            }
            let (kept, keep, what) = unit.tally(kept, keep)?;
            if kept != keep && !self.plan.gpu().is_counted() {
                return Err(Error::internal(format!("a mask update kept {kept} {what} instead of {keep}"))
                    .at(format!("step {step}")));
            }
        }
        Ok(outcome)
    }
}

impl Unit {
    fn prepare(&self, keep: usize) -> Result<()> {
        match self {
            Unit::Weights { selection, .. } => selection.keep(keep),
            Unit::Floored(floored) => floored.prepare(keep),
            Unit::Blocks { selection, blocks, len, counts, .. } => {
                counts.write(&[0u32; 3])?;
                selection.keep(whole_blocks(keep, *blocks, *len))
            }
            Unit::Groups { nans, counts, .. } => {
                nans.write(&[0u32])?;
                counts.write(&[0u32; 3])
            }
            Unit::Done { .. } => Ok(()),
        }
    }

    /// What is counted: how many were kept, and are to be. Blocks may differ in size, so that they are what counts.
    fn tally(&self, kept: usize, keep: usize) -> Result<(usize, usize, &'static str)> {
        let Unit::Blocks { selection, blocks, len, .. } = self else { return Ok((kept, keep, "weights")) };
        let kept = selection.counts()?.iter().map(|count| count.kept as usize).sum();
        Ok((kept, whole_blocks(keep, *blocks, *len), "blocks"))
    }

    /// What became of each tensor, with the parameter that it belongs to.
    fn counts(&self, params: &ParamSet) -> Result<Vec<(ParamId, Count)>> {
        let merged = |counts: &Tensor, nans: u32| -> Result<Count> {
            let words = counts.read_u32()?;
            Ok(Count { kept: words[0], grown: words[1], dropped: words[2], nans })
        };
        Ok(match self {
            Unit::Weights { selection, owners } => owners.iter().copied().zip(selection.counts()?).collect(),
            Unit::Floored(floored) => floored.counts()?,
            Unit::Blocks { selection, owner, counts, .. } => {
                let parts = selection.counts()?;
                let count = match params[*owner].packed() {
                    Some(_) => {
                        let height = params[*owner].form.height() as u32;
                        Count { kept: parts[0].kept * height, ..parts[0] }
                    }
                    None => merged(counts, parts.iter().map(|part| part.nans).sum())?,
                };
                vec![(*owner, count)]
            }
            Unit::Groups { owner, nans, counts } => vec![(*owner, merged(counts, nans.read_u32()?[0])?)],
            Unit::Done { owner } => {
                let kept = params[*owner].kept()? as u32;
                vec![(*owner, Count { kept, ..Count::default() })]
            }
        })
    }
}

/// The scores of each parameter, by segment: its values themselves, or what is computed into memory of their own.
fn scores_of(
    rec: &mut Recorder,
    groups: &[Vec<ParamId>],
    params: &ParamSet,
    criterion: Criterion,
) -> Result<Vec<Vec<Tensor>>> {
    let gpu = rec.gpu.clone();
    let mut all = vec![Vec::new(); params.len()];
    for &i in groups.iter().flatten() {
        for (segment, values) in params[i].segments.iter().zip(params[i].stored()) {
            all[i.0].push(match criterion {
                Criterion::Magnitude => values.clone(),
                _ => gpu.tensor("scores", Dtype::F32, &values.shape)?,
            });
            if criterion == (Criterion::Saliency { batches: 1 }) {
                scores::record_saliency(rec, values, &segment.grad, all[i.0].last().expect("just pushed"))?;
            }
        }
    }
    Ok(all)
}

/// The same scores with those first that are kept in any case. Values themselves are copied for that.
fn protected(
    rec: &mut Recorder,
    groups: &[Vec<ParamId>],
    params: &ParamSet,
    criterion: Criterion,
    mut scored: Vec<Vec<Tensor>>,
) -> Result<Vec<Vec<Tensor>>> {
    for &i in groups.iter().flatten() {
        rec.scope(&params[i].name);
        match criterion {
            Criterion::Magnitude => scored[i.0] = protect::scores(rec, &params[i], &scored[i.0])?,
            _ => protect::record_first(rec, &params[i], &scored[i.0])?,
        }
    }
    Ok(scored)
}

/// N of every M; which, is decided in bits of their own, so that what changes can be counted.
fn prune_groups(
    rec: &mut Recorder,
    owner: ParamId,
    param: &Param,
    (keep, of): (usize, usize),
    scored: &[Tensor],
) -> Result<Unit> {
    let gpu = rec.gpu.clone();
    let gate = gpu.uniform("gate", &Gate { keep: keep as u32, group: of as u32, decay: 0.0 })?;
    let nans = gpu.tensor("not numbers", Dtype::U32, &[1])?;
    let counts = gpu.tensor("merge counts", Dtype::U32, &[3])?;
    let alike = Alike::new(&gpu, param)?;
    for (segment, score) in param.segments.iter().zip(scored) {
        let bits = gpu.tensor("keep", Dtype::U32, &[segment.mask.len()])?;
        match &alike {
            Some(alike) => alike.record_mark(rec, &gate, of, score, &bits, &nans)?,
            None => groups::record_mark(rec, &gate, of, score, &bits, &nans)?,
        }
        merge::record(rec, &bits, &bits, &segment.mask, &counts)?;
    }
    Ok(Unit::Groups { owner, nans, counts })
}

/// Blocks, each by one score.
fn prune_blocks(
    rec: &mut Recorder,
    owner: ParamId,
    param: &Param,
    pooling: Pooling,
    scored: &[Tensor],
) -> Result<Unit> {
    let gpu = rec.gpu.clone();
    let counts = gpu.tensor("merge counts", Dtype::U32, &[3])?;
    let (len, matrix) = (param.len(), param.matrix());
    let all = Blocks::new(param.form, matrix.rows, matrix.inner());
    if let Some(packed) = param.packed() {
        // The values of an entry lie side by side.
        let size = all.height;
        let blocks =
            Blocks { rows: packed.index.pattern.entries(), inner: size, height: 1, width: size, apart: 1 };
        let score = gpu.tensor("scores", Dtype::F32, &[blocks.count()])?;
        pool::record_pool(rec, blocks, pooling, &scored[0], &score)?;
        let bits = packed.picked.first(&[blocks.count().div_ceil(32)]);
        let selection = Selection::over(rec, &[(&score, &bits)])?;
        return Ok(Unit::Blocks { selection, owner, blocks: all.count(), len, counts });
    }
    let mut parts = Vec::new();
    for (segment, values) in param.segments.iter().zip(scored) {
        let ends_within = !segment.rows.end.is_multiple_of(all.height * all.apart);
        if ends_within && segment.rows.end < all.rows {
            return Err(Error::usage(format!(
                "`{}` is cut within a block of {} rows",
                param.name, all.height
            ))
            .at(format!("rows {:?} lie in one binding", segment.rows))
            .hint("blocks of fewer rows; what is pruned alike has to lie in one binding"));
        }
        let blocks = Blocks { rows: segment.rows.len(), ..all };
        let score = gpu.tensor("scores", Dtype::F32, &[blocks.count()])?;
        pool::record_pool(rec, blocks, pooling, values, &score)?;
        let kept = gpu.tensor("kept blocks", Dtype::U32, &[blocks.count().div_ceil(32)])?;
        parts.push((blocks, score, kept));
    }
    let pairs: Vec<_> = parts.iter().map(|(_, score, kept)| (score, kept)).collect();
    let selection = Selection::over(rec, &pairs)?;
    for (segment, (blocks, _, kept)) in param.segments.iter().zip(&parts) {
        let bits = gpu.tensor("keep", Dtype::U32, &[segment.mask.len()])?;
        pool::record_spread(rec, *blocks, kept, &bits)?;
        merge::record(rec, &bits, &bits, &segment.mask, &counts)?;
    }
    Ok(Unit::Blocks { selection, owner, blocks: all.count(), len, counts })
}

/// A pattern of single weights and more indices, which it does not have.
pub fn joined(keep: &Pattern, grown: &[u32]) -> Pattern {
    let mut indices: Vec<u32> = keep.indices().chain(grown.iter().copied()).collect();
    indices.sort_unstable();
    Pattern::from_indices(keep.form, keep.rows, keep.inner, &indices)
}

/// The entries of a pattern whose bit is set.
pub fn picked(pattern: &Pattern, bits: &[u32]) -> Pattern {
    let kept = |&(entry, _): &(usize, u32)| bits[entry / 32] >> (entry % 32) & 1 == 1;
    let indices: Vec<u32> = pattern.indices().enumerate().filter(kept).map(|(_, index)| index).collect();
    Pattern::from_indices(pattern.form, pattern.rows, pattern.inner, &indices)
}
