//! Mask updates that drop weights and grow as many elsewhere, on top of pruning where a method prunes, too.
//!
//! Of the weights of a group the largest survive, as many as its budget says. Then, per tensor, of the n that survived
//! the smallest are dropped, a share of n; as many are grown where the score is largest among all that is not kept, the
//! just dropped included. One that is dropped and grown at once keeps its value and its slots; a new one starts at 0 or
//! with what the recipe asks for, with slots of 0. Of a frozen layer nothing is dropped for that, and nothing grows: it
//! has no gradient. It keeps its mask, but for what its group's budget prunes. RigL (Evci et al., 2020), SET (Mocanu et al., 2018), GraNet (Liu et al., 2021).

use std::ops::Range;

use super::growth::{By, Growth};
use super::prune::{joined, picked};
use super::redistribute::{Shares, Turnover};
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Phase, Plan, Recorder, Tensor, Uniform};
use crate::param::{MEAN, Param, ParamId, ParamSet};
use crate::random::Stream;
use crate::sparsity::select::candidates::{Draw, Noise};
use crate::sparsity::select::running::{Found, Running};
use crate::sparsity::select::topk::{Count, Selection};
use crate::sparsity::{LayerChange, Length, Outcome, Renewal, not_numbers, recorder, score::mean};

mod parts;

use parts::{masked_part, packed_part, scratch, survive};

/// Records the gradient of some rows of a parameter, also where nothing is kept. That of the layer's bias stays what the
/// backward pass has made it.
pub type DenseGrad<'a> = dyn Fn(&mut Recorder, ParamId, Range<usize>, &Tensor) -> Result<()> + 'a;

/// What an update is recorded for.
pub struct Site<'a> {
    pub gpu: &'a Gpu,
    pub seed: u64,
    pub params: &'a ParamSet,
    pub grads: &'a DenseGrad<'a>,
    /// Weights that all parameters keep together.
    pub kept: usize,
}

/// The recorded update: one part a tensor.
pub struct Regrow {
    /// By group: which tensors lose how much, where that is decided among several.
    survivors: Vec<Option<Survivors>>,
    parts: Vec<Part>,
    /// Where layers share what all have dropped.
    redistribution: Option<Shares>,
    running: Option<Running>,
    draw: Uniform,
}

/// The largest magnitudes of several tensors together.
struct Survivors {
    selection: Selection,
    /// The parameter of each tensor that is selected from.
    owners: Vec<ParamId>,
    plan: Plan,
}

struct Part {
    param: ParamId,
    group: usize,
    keep: Selection,
    how: How,
    plan: Plan,
}

enum How {
    /// Masks are merged on the device; three counts say how. Nothing grows where a layer is frozen.
    Masked { grow: Option<Box<Selection>>, counts: Tensor },
    /// What is grown is found tile by tile, if anything may be; what it starts with, if not at 0. `exact` is what finds it
    /// where tiles are sieved and a sieve has failed.
    Packed { found: Option<Found>, values: Option<Tensor>, exact: Option<Plan> },
}

impl Regrow {
    /// Records the update of groups of parameters.
    pub fn record(site: &Site, growth: &Growth, groups: &[Vec<ParamId>]) -> Result<Self> {
        let Site { gpu, params, .. } = *site;
        let members = || groups.iter().flatten().map(|&i| &params[i]);
        let packed = || members().filter_map(|param| Some((param.matrix(), param.packed()?)));
        let shapes: Vec<_> = packed().map(|(matrix, _)| (matrix.rows, matrix.inner())).collect();
        let most = match growth.redistributes {
            true => growth.most(site.kept), // one may get what all drop
            false => packed().map(|(_, own)| growth.most(own.index.pattern.kept())).max().unwrap_or(0),
        };
        let running =
            if shapes.is_empty() { None } else { Some(Running::sieving(gpu, &shapes, most.max(1))?) };
        let draw = gpu.uniform("draw", &Draw { step: 0 })?;
        let scratch = scratch(site, groups)?;
        let (mut survivors, mut parts) = (Vec::new(), Vec::new());
        for (group, members) in groups.iter().enumerate() {
            survivors.push(if members.len() > 1 { Some(survive(site, members, &scratch)?) } else { None });
            for &id in members {
                let param = &params[id];
                let mut rec = recorder(gpu, &param.name);
                let noise = Noise { seed: site.seed, stream: Stream::Growth, tensor: id.0 as u32 };
                let (keep, how) = match (param.packed(), &running) {
                    (Some(packed), Some(running)) => {
                        let kept = (packed, running);
                        packed_part(&mut rec, site, growth, id, kept, (noise, &draw))?
                    }
                    _ => {
                        let scores = &scratch[id.0];
                        masked_part(&mut rec, site, growth, id, scores, (noise, &draw))?
                    }
                };
                parts.push(Part { param: id, group, keep, how, plan: rec.finish()? });
            }
        }
        let layers: Vec<ParamId> = parts.iter().map(|part: &Part| part.param).collect();
        let redistribution = growth.redistributes.then(|| Shares::record(site, &layers)).transpose()?;
        Ok(Self { survivors, parts, redistribution, running, draw })
    }

    /// Prunes each group to the number that it keeps, then drops and grows, tensor by tensor.
    ///
    /// # Errors
    /// `Kind::Numbers` if a weight or a score is not a number, with the layer's name.
    pub fn update(
        &self,
        step: u64,
        length: Length,
        growth: &Growth,
        keeps: &[usize],
        params: &ParamSet,
    ) -> Result<Outcome> {
        self.draw.write(&Draw { step: step as u32 })?;
        let mut shares = Vec::new();
        for (survivors, &keep) in self.survivors.iter().zip(keeps) {
            shares.push(survivors.as_ref().map(|s| s.count(step, keep, params)).transpose()?);
        }
        let alone = |part: &Part| {
            let kept = match &shares[part.group] {
                Some(by_param) => by_param[part.param.0],
                None => keeps[part.group],
            };
            let drops = growth.drops_of(&params[part.param], kept, step, length);
            Turnover { keep: kept - drops, grow: drops }
        };
        let layers: Vec<&Param> = self.parts.iter().map(|part| &params[part.param]).collect();
        let turnovers = match &self.redistribution {
            Some(shares) => shares.turnovers(step, length, growth, &layers)?,
            None => self.parts.iter().map(alone).collect(),
        };
        let mut outcome = Outcome::default();
        for ((part, param), Turnover { keep, grow }) in self.parts.iter().zip(layers).zip(turnovers) {
            let kept = keep + grow;
            let mut layer = LayerChange { kept, ..LayerChange::none(param) };
            part.keep.keep(keep)?;
            outcome.renewals.extend(self.run(part, growth.by, grow, step, param, &mut layer)?);
            if layer.kept != kept && !part.plan.gpu().is_counted() {
                let what = format!("a mask update of `{}` kept {} weights", param.name, layer.kept);
                return Err(Error::internal(format!("{what} instead of {kept}")).at(format!("step {step}")));
            }
            outcome.layers.push(layer);
        }
        Ok(outcome)
    }

    fn run(
        &self,
        part: &Part,
        by: By,
        grow: usize,
        step: u64,
        param: &Param,
        layer: &mut LayerChange,
    ) -> Result<Option<Renewal>> {
        let nans = |counts: &[Count]| -> u32 { counts.iter().map(|count| count.nans).sum() };
        let weights = |counts: &[Count]| not_numbers(nans(counts), "weights", &param.name, step);
        let scores = match by {
            By::Gradient => "gradients",
            By::Random | By::RandomUnfired => "random scores",
            By::Momentum => "running means of the gradient",
        };
        match (&part.how, &self.running, param.packed()) {
            (How::Packed { found, values, exact }, Some(running), Some(packed)) => {
                running.keep(grow)?;
                part.plan.replay()?;
                let [noted, list] = running.results(found.as_ref(), grow);
                let read = part.plan.gpu().read_all(&[&part.keep.counts, &noted, &packed.picked, &list])?;
                let [counts, words, picks, mut indices] = <[Vec<u32>; 4]>::try_from(read).expect("four");
                weights(&part.keep.counted(&counts))?;
                let mut noted = running.take(&words)?;
                not_numbers(noted.nans, scores, &param.name, step)?;
                if let (Some(exact), true) = (exact, noted.failed) {
                    exact.replay()?;
                    noted = running.noted()?;
                    indices = list.read_u32()?;
                }
                if noted.failed {
                    return Err(Error::internal(format!("a mask update of `{}` found too much", param.name)));
                }
                if part.plan.gpu().is_counted() {
                    return Ok(None);
                }
                let before = &packed.index.pattern;
                let keep = picked(before, &picks);
                let after = joined(&keep, &indices);
                let new = after.origin(before).iter().filter(|origin| origin.is_none()).count();
                (layer.kept, layer.grown, layer.dropped) =
                    (after.kept(), new, before.kept() - (after.kept() - new));
                if after == *before {
                    return Ok(None);
                }
                let grown = match values {
                    Some(values) => indices.into_iter().zip(values.first(&[grow]).read_f32()?).collect(),
                    None => Vec::new(),
                };
                Ok(Some(Renewal { param: part.param, pattern: after, grown }))
            }
            (How::Masked { grow: selection, counts }, ..) => {
                selection.iter().try_for_each(|selection| selection.keep(grow))?;
                counts.write(&[0u32; 3])?;
                part.plan.replay()?;
                let grown = selection.as_ref().map_or(&part.keep, |selection| &**selection);
                let read = part.plan.gpu().read_all(&[&part.keep.counts, &grown.counts, counts])?;
                weights(&part.keep.counted(&read[0]))?;
                not_numbers(nans(&grown.counted(&read[1])), scores, &param.name, step)?;
                let words = &read[2];
                (layer.kept, layer.grown, layer.dropped) =
                    (words[0] as usize, words[1] as usize, words[2] as usize);
                Ok(None)
            }
            _ => Err(unrecorded()),
        }
    }

    /// Records, in every step, the running mean of a packed parameter's gradient: tile by tile, in the memory that growth
    /// uses at updates, so that there is no gradient of the dense size.
    pub fn record_mean(
        &self,
        rec: &mut Recorder,
        rule: mean::Rule,
        (id, param): (ParamId, &Param),
        grads: &DenseGrad,
    ) -> Result<()> {
        let Some(running) = &self.running else { return Err(unrecorded()) };
        let (rows, inner) = (param.matrix().rows, param.matrix().inner());
        for own in running.tiles(rows, inner) {
            let tile = running.tile(own.len(), inner);
            rec.phase(Phase::Backward);
            grads(rec, id, own.clone(), &tile)?;
            rec.phase(Phase::Masks);
            mean::record_rows(rec, rule, own, &tile, param.tensors(MEAN))?;
        }
        Ok(())
    }

    /// The update's dispatches.
    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        let survivors = self.survivors.iter().flatten().map(|survivors| &survivors.plan);
        let shares = self.redistribution.iter().map(|shares| &shares.plan);
        survivors.chain(shares).chain(self.parts.iter().map(|part| &part.plan))
    }
}

impl Survivors {
    /// How many of each parameter are among the `keep` largest.
    fn count(&self, step: u64, keep: usize, params: &ParamSet) -> Result<Vec<usize>> {
        self.selection.keep(keep)?;
        self.plan.replay()?;
        let mut all = vec![0; params.len()];
        for (count, &owner) in self.selection.counts()?.iter().zip(&self.owners) {
            not_numbers(count.nans, "weights", &params[owner].name, step)?;
            all[owner.0] += count.kept as usize;
        }
        Ok(all)
    }
}

fn unrecorded() -> Error {
    Error::internal("a parameter changed its storage, and its update was not recorded anew")
}
