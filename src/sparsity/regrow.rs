//! Mask updates that drop weights and grow as many elsewhere, on top of pruning where a method prunes, too.
//!
//! Of the weights of a group the largest survive, as many as its budget says. Then, per tensor, of the n that survived
//! the smallest are dropped, a share of n; as many are grown where the score is largest among all that is not kept, the
//! just dropped included. One that is dropped and grown at once keeps its value and its slots; a new one starts at 0 or
//! with what the recipe asks for, with slots of 0. Of a frozen layer nothing is dropped for that, and nothing grows: it
//! has no gradient. It keeps its mask, but for what its group's budget prunes. RigL (Evci et al., 2020), SET (Mocanu et al., 2018), GraNet (Liu et al., 2021).

use std::ops::Range;

use super::candidates::{Draw, Noise};
use super::grown::{self, Kind, Origin};
use super::growth::{By, Growth};
use super::prune::{joined, picked};
use super::redistribute::{Shares, Turnover};
use super::running::{Found, Running};
use super::topk::{Count, Selection};
use super::{
    LayerChange, Length, Outcome, Renewal, candidates, fired, gather, mean, merge, not_numbers, record_zeros,
    recorder,
};
use crate::error::{Error, Result};
use crate::gpu::{Dtype, Gpu, Phase, Plan, Recorder, Tensor, Uniform};
use crate::ops::moments;
use crate::param::{MEAN, Packed, Param, ParamId, ParamSet};
use crate::random::Stream;

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
                let [counts, words, picks, mut places] = <[Vec<u32>; 4]>::try_from(read).expect("four");
                weights(&part.keep.counted(&counts))?;
                let mut noted = running.take(&words)?;
                not_numbers(noted.nans, scores, &param.name, step)?;
                if let (Some(exact), true) = (exact, noted.failed) {
                    exact.replay()?;
                    noted = running.noted()?;
                    places = list.read_u32()?;
                }
                if noted.failed {
                    return Err(Error::internal(format!("a mask update of `{}` found too much", param.name)));
                }
                if part.plan.gpu().is_counted() {
                    return Ok(None);
                }
                let before = &packed.index.pattern;
                let keep = picked(before, &picks);
                let after = joined(&keep, &places);
                let new = after.origin(before).iter().filter(|origin| origin.is_none()).count();
                (layer.kept, layer.grown, layer.dropped) =
                    (after.kept(), new, before.kept() - (after.kept() - new));
                if after == *before {
                    return Ok(None);
                }
                let grown = match values {
                    Some(values) => places.into_iter().zip(values.first(&[grow]).read_f32()?).collect(),
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

/// Memory for the scores of masked parameters, by parameter and block. Where no two are selected from together, one
/// after another uses the same.
fn scratch(site: &Site, groups: &[Vec<ParamId>]) -> Result<Vec<Vec<Tensor>>> {
    let tensor = |len: usize| site.gpu.tensor("scores", Dtype::F32, &[len]);
    let lens = |i: ParamId| -> Vec<usize> {
        let masked = site.params[i].packed().is_none();
        site.params[i].blocks.iter().filter(|_| masked).map(|block| block.weight.len()).collect()
    };
    let mut all = vec![Vec::new(); site.params.len()];
    let mut shared: Vec<Tensor> = Vec::new();
    let alone = || groups.iter().filter(|members| members.len() == 1).map(|members| lens(members[0]));
    for block in 0..alone().map(|lens| lens.len()).max().unwrap_or(0) {
        shared.push(tensor(alone().filter_map(|lens| lens.get(block).copied()).max().unwrap_or(0))?);
    }
    for members in groups {
        for &i in members {
            let own = |(block, len): (usize, usize)| match members.len() {
                1 => Ok(shared[block].first(&[len])),
                _ => tensor(len),
            };
            all[i.0] = lens(i).into_iter().enumerate().map(own).collect::<Result<_>>()?;
        }
    }
    Ok(all)
}

/// Records which weights survive of those that several parameters have together.
fn survive(site: &Site, members: &[ParamId], scratch: &[Vec<Tensor>]) -> Result<Survivors> {
    let mut rec = recorder(site.gpu, "all");
    let (mut owners, mut pairs) = (Vec::new(), Vec::new());
    for &i in members {
        let param = &site.params[i];
        owners.extend(vec![i; param.blocks.len()]);
        if let Some(packed) = param.packed() {
            pairs.push((param.blocks[0].weight.clone(), packed.picked.clone()));
            continue;
        }
        for (block, score) in param.blocks.iter().zip(&scratch[i.0]) {
            candidates::record_choose(&mut rec, &block.weight, &block.mask, true, score)?;
            pairs.push((score.clone(), site.gpu.tensor("survivors", Dtype::U32, &[block.mask.len()])?));
        }
    }
    let selection = Selection::over(&mut rec, &pairs.iter().map(|(s, m)| (s, m)).collect::<Vec<_>>())?;
    Ok(Survivors { selection, owners, plan: rec.finish()? })
}

fn packed_part(
    rec: &mut Recorder,
    site: &Site,
    growth: &Growth,
    id: ParamId,
    (packed, running): (&Packed, &Running),
    (noise, draw): (Noise, &Uniform),
) -> Result<(Selection, How)> {
    let param = &site.params[id];
    let keep = Selection::over(rec, &[(&param.blocks[0].weight, &packed.picked)])?;
    let (rows, inner) = (param.matrix().rows, param.matrix().inner());
    fired_before(rec, growth.by, param)?;
    if param.frozen {
        return Ok((keep, How::Packed { found: None, values: None, exact: None }));
    }
    let fill = |rec: &mut Recorder, own: Range<usize>, tile: &Tensor| {
        match growth.by {
            By::Gradient => (site.grads)(rec, id, own.clone(), tile)?,
            By::Momentum => mean::record_copy(rec, param.tensors(MEAN), own.clone(), tile)?,
            By::Random => candidates::record_noise(rec, noise, draw, own.start * inner, tile)?,
            By::RandomUnfired => {
                candidates::record_noise(rec, noise, draw, own.start * inner, tile)?;
                fired::record_favour(rec, param, own.clone(), tile)?;
            }
        }
        candidates::record_strike(rec, &packed.index, &packed.picked, own.start, own.len(), tile)
    };
    let sieves = running.sieves(rows, inner);
    let found = match sieves {
        true => running.record_sieved(rec, rows, inner, fill)?,
        false => running.record(rec, rows, inner, fill)?,
    };
    let mut list = running.list(&found);
    let by_mean = growth.value.kind.is_gradient() && growth.by == By::Momentum;
    if by_mean {
        // What was selected by is the mean.
        list.score = site.gpu.tensor("grown gradients", Dtype::F32, &[list.place.len()])?;
    }
    let new = match growth.value.kind {
        Kind::Zeros => None,
        _ => Some((
            site.gpu.tensor("grown values", Dtype::F32, &[list.place.len()])?,
            measured(rec, growth, param)?,
        )),
    };
    let record_values = |rec: &mut Recorder| -> Result<()> {
        let Some((values, sums)) = &new else { return Ok(()) };
        for own in running.tiles(rows, inner).filter(|_| by_mean) {
            let tile = running.tile(own.len(), inner);
            (site.grads)(rec, id, own.clone(), &tile)?;
            gather::record_listed(rec, &list.place, own.start * inner, &tile, &list.score)?;
        }
        let origin = origin(site, growth, id, (sums, draw))?;
        grown::record_listed(rec, growth.value, origin, &list, values)
    };
    record_values(rec)?;
    let exact = sieves.then(|| {
        let mut rec = recorder(site.gpu, &param.name);
        running.record(&mut rec, rows, inner, fill)?;
        record_values(&mut rec)?;
        rec.finish()
    });
    let exact = exact.transpose()?;
    Ok((keep, How::Packed { found: Some(found), values: new.map(|(values, _)| values), exact }))
}

fn masked_part(
    rec: &mut Recorder,
    site: &Site,
    growth: &Growth,
    id: ParamId,
    scores: &[Tensor],
    (noise, draw): (Noise, &Uniform),
) -> Result<(Selection, How)> {
    let (gpu, param) = (site.gpu, &site.params[id]);
    let bits = |what: &str| -> Result<Vec<Tensor>> {
        param.blocks.iter().map(|block| gpu.tensor(what, Dtype::U32, &[block.mask.len()])).collect()
    };
    let keep_bits = bits("keep")?;
    let (by, value) = (growth.by, growth.value);
    for (block, score) in param.blocks.iter().zip(scores) {
        candidates::record_choose(rec, &block.weight, &block.mask, true, score)?;
    }
    let keep = Selection::over(rec, &scores.iter().zip(&keep_bits).collect::<Vec<_>>())?;
    let inner = param.matrix().inner();
    fired_before(rec, by, param)?;
    let counts = gpu.tensor("merge counts", Dtype::U32, &[3])?;
    let finish = |rec: &mut Recorder, grow_bits: &[Tensor]| -> Result<()> {
        for (number, block) in param.blocks.iter().enumerate() {
            merge::record(rec, &keep_bits[number], &grow_bits[number], &block.mask, &counts)?;
            record_zeros(rec, param, number)?;
        }
        Ok(())
    };
    if param.frozen {
        finish(rec, &keep_bits)?;
        return Ok((keep, How::Masked { grow: None, counts }));
    }
    let grow_bits = bits("grow")?;
    for (number, ((block, score), bits)) in param.blocks.iter().zip(scores).zip(&keep_bits).enumerate() {
        match by {
            By::Gradient => candidates::record_choose(rec, &block.grad, bits, false, score)?,
            By::Momentum => candidates::record_choose(rec, &param.tensors(MEAN)[number], bits, false, score)?,
            By::Random | By::RandomUnfired => {
                candidates::record_noise(rec, noise, draw, block.rows.start * inner, score)?;
                if by == By::RandomUnfired {
                    fired::record_favour(rec, param, block.rows.clone(), score)?;
                }
                candidates::record_bar(rec, bits, score)?;
            }
        }
    }
    let grow = Selection::over(rec, &scores.iter().zip(&grow_bits).collect::<Vec<_>>())?;
    if value.kind != Kind::Zeros {
        let sums = measured(rec, growth, param)?;
        let origin = origin(site, growth, id, (&sums, draw))?;
        for (block, bits) in param.blocks.iter().zip(&grow_bits) {
            let which = (block.rows.start * inner, bits, &block.mask);
            grown::record_masked(rec, value, origin, which, &block.grad, &block.weight)?;
        }
    }
    finish(rec, &grow_bits)?;
    Ok((keep, How::Masked { grow: Some(Box::new(grow)), counts }))
}

/// Adds the mask of now to the weights that were ever kept, where growth prefers the others.
fn fired_before(rec: &mut Recorder, by: By, param: &Param) -> Result<()> {
    if by == By::RandomUnfired { fired::record(rec, param) } else { Ok(()) }
}

/// The sums over a weight before its update, where values depend on them.
fn measured(rec: &mut Recorder, growth: &Growth, param: &Param) -> Result<Tensor> {
    let sums = rec.gpu.tensor("moments", Dtype::F32, &[3])?;
    if growth.value.kind.is_measured() {
        let weights: Vec<&Tensor> = param.blocks.iter().map(|block| &block.weight).collect();
        moments::record(rec, &weights, &sums)?;
    }
    Ok(sums)
}

fn origin<'a>(
    site: &Site,
    growth: &Growth,
    id: ParamId,
    (sums, draw): (&'a Tensor, &'a Uniform),
) -> Result<Origin<'a>> {
    let (param, seed) = (&site.params[id], site.seed);
    let bound = match (growth.value.kind, param.bound) {
        (Kind::Initial, None) => {
            let what = format!("`{}` was not drawn at first: nothing can be drawn as it was", param.name);
            return Err(Error::usage(what)
                .at("growth.value = \"initial\"")
                .hint("another value, such as \"normal\""));
        }
        (_, bound) => bound.unwrap_or(0.0),
    };
    Ok(Origin { seed, tensor: id.0 as u32, count: param.len(), bound, sums, draw })
}
