//! What the update of one tensor is recorded as, masked or packed, and which weights survive of several tensors.

use std::ops::Range;

use super::{How, Site, Survivors};
use crate::error::{Error, Result};
use crate::gpu::{Dtype, Recorder, Tensor, Uniform};
use crate::ops::moments;
use crate::param::{MEAN, Packed, Param, ParamId};
use crate::sparsity::select::candidates::{self, Noise};
use crate::sparsity::select::protect;
use crate::sparsity::select::running::Running;
use crate::sparsity::select::topk::Selection;
use crate::sparsity::update::grown::{self, Kind, Origin};
use crate::sparsity::update::growth::{By, Growth};
use crate::sparsity::{record_zeros, recorder, score::mean, select::gather, select::merge, update::fired};

/// Memory for the scores of masked parameters, by parameter and segment. Where no two are selected from together, one
/// after another uses the same.
pub(super) fn scratch(site: &Site, groups: &[Vec<ParamId>]) -> Result<Vec<Vec<Tensor>>> {
    let tensor = |len: usize| site.gpu.tensor("scores", Dtype::F32, &[len]);
    let lens = |i: ParamId| -> Vec<usize> {
        let masked = site.params[i].packed().is_none();
        site.params[i].segments.iter().filter(|_| masked).map(|segment| segment.weight.len()).collect()
    };
    let mut all = vec![Vec::new(); site.params.len()];
    let mut shared: Vec<Tensor> = Vec::new();
    let alone = || groups.iter().filter(|members| members.len() == 1).map(|members| lens(members[0]));
    for segment in 0..alone().map(|lens| lens.len()).max().unwrap_or(0) {
        shared.push(tensor(alone().filter_map(|lens| lens.get(segment).copied()).max().unwrap_or(0))?);
    }
    for members in groups {
        for &i in members {
            let own = |(segment, len): (usize, usize)| match members.len() {
                1 => Ok(shared[segment].first(&[len])),
                _ => tensor(len),
            };
            all[i.0] = lens(i).into_iter().enumerate().map(own).collect::<Result<_>>()?;
        }
    }
    Ok(all)
}

/// Records which weights survive of those that several parameters have together.
pub(super) fn survive(site: &Site, members: &[ParamId], scratch: &[Vec<Tensor>]) -> Result<Survivors> {
    let mut rec = recorder(site.gpu, "all");
    let (mut owners, mut pairs) = (Vec::new(), Vec::new());
    for &i in members {
        let param = &site.params[i];
        owners.extend(vec![i; param.segments.len()]);
        if let Some(packed) = param.packed() {
            pairs.push((param.segments[0].weight.clone(), packed.picked.clone()));
            continue;
        }
        for (segment, score) in param.segments.iter().zip(&scratch[i.0]) {
            candidates::record_choose(&mut rec, &segment.weight, &segment.mask, true, score)?;
            pairs.push((score.clone(), site.gpu.tensor("survivors", Dtype::U32, &[segment.mask.len()])?));
        }
        protect::record_first(&mut rec, param, &scratch[i.0])?;
    }
    let selection = Selection::over(&mut rec, &pairs.iter().map(|(s, m)| (s, m)).collect::<Vec<_>>())?;
    Ok(Survivors { selection, owners, plan: rec.finish()? })
}

pub(super) fn packed_part(
    rec: &mut Recorder,
    site: &Site,
    growth: &Growth,
    id: ParamId,
    (packed, running): (&Packed, &Running),
    (noise, draw): (Noise, &Uniform),
) -> Result<(Selection, How)> {
    let param = &site.params[id];
    let keep = Selection::over(rec, &[(&param.segments[0].weight, &packed.picked)])?;
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
        list.score = site.gpu.tensor("grown gradients", Dtype::F32, &[list.index.len()])?;
    }
    let new = match growth.value.kind {
        Kind::Zeros => None,
        _ => Some((
            site.gpu.tensor("grown values", Dtype::F32, &[list.index.len()])?,
            measured(rec, growth, param)?,
        )),
    };
    let record_values = |rec: &mut Recorder| -> Result<()> {
        let Some((values, sums)) = &new else { return Ok(()) };
        for own in running.tiles(rows, inner).filter(|_| by_mean) {
            let tile = running.tile(own.len(), inner);
            (site.grads)(rec, id, own.clone(), &tile)?;
            gather::record_listed(rec, &list.index, own.start * inner, &tile, &list.score)?;
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

pub(super) fn masked_part(
    rec: &mut Recorder,
    site: &Site,
    growth: &Growth,
    id: ParamId,
    scores: &[Tensor],
    (noise, draw): (Noise, &Uniform),
) -> Result<(Selection, How)> {
    let (gpu, param) = (site.gpu, &site.params[id]);
    let bits = |what: &str| -> Result<Vec<Tensor>> {
        param.segments.iter().map(|segment| gpu.tensor(what, Dtype::U32, &[segment.mask.len()])).collect()
    };
    let keep_bits = bits("keep")?;
    let (by, value) = (growth.by, growth.value);
    for (segment, score) in param.segments.iter().zip(scores) {
        candidates::record_choose(rec, &segment.weight, &segment.mask, true, score)?;
    }
    protect::record_first(rec, param, scores)?;
    let keep = Selection::over(rec, &scores.iter().zip(&keep_bits).collect::<Vec<_>>())?;
    let inner = param.matrix().inner();
    fired_before(rec, by, param)?;
    let counts = gpu.tensor("merge counts", Dtype::U32, &[3])?;
    let finish = |rec: &mut Recorder, grow_bits: &[Tensor]| -> Result<()> {
        for (number, segment) in param.segments.iter().enumerate() {
            merge::record(rec, &keep_bits[number], &grow_bits[number], &segment.mask, &counts)?;
            record_zeros(rec, param, number)?;
        }
        Ok(())
    };
    if param.frozen {
        finish(rec, &keep_bits)?;
        return Ok((keep, How::Masked { grow: None, counts }));
    }
    let grow_bits = bits("grow")?;
    for (number, ((segment, score), bits)) in param.segments.iter().zip(scores).zip(&keep_bits).enumerate() {
        match by {
            By::Gradient => candidates::record_choose(rec, &segment.grad, bits, false, score)?,
            By::Momentum => candidates::record_choose(rec, &param.tensors(MEAN)[number], bits, false, score)?,
            By::Random | By::RandomUnfired => {
                candidates::record_noise(rec, noise, draw, segment.rows.start * inner, score)?;
                if by == By::RandomUnfired {
                    fired::record_favour(rec, param, segment.rows.clone(), score)?;
                }
                candidates::record_bar(rec, bits, score)?;
            }
        }
    }
    let grow = Selection::over(rec, &scores.iter().zip(&grow_bits).collect::<Vec<_>>())?;
    if value.kind != Kind::Zeros {
        let sums = measured(rec, growth, param)?;
        let origin = origin(site, growth, id, (&sums, draw))?;
        for (segment, bits) in param.segments.iter().zip(&grow_bits) {
            let which = (segment.rows.start * inner, bits, &segment.mask);
            grown::record_masked(rec, value, origin, which, &segment.grad, &segment.weight)?;
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
        let weights: Vec<&Tensor> = param.segments.iter().map(|segment| &segment.weight).collect();
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
