//! A method at work: when masks are updated, and what happens within a step.

use super::budget::{self, Budget};
use super::filters::Filters;
use super::methods::{self, Start};
use super::structure::permute::Permutation;
use super::update::backward_set::BackwardSet;
use super::update::filters;
use super::update::flowing::Flowing;
use super::update::prune::Prune;
use super::update::regrow::{self, Regrow, Site};
use super::update::soft::Soft;
use super::{Change, Length, Look, Outcome, Renewal, score::mean, update::shrink};
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Phase, Plan, Recorder, Tensor, Uniform};
use crate::param::{MEAN, MaskMode, Param, ParamId, ParamSet};

/// Schedules a method's mask updates.
pub struct Pruner {
    pub entry: &'static methods::Entry,
    pub(super) method: Box<dyn methods::Method>,
    pub(super) budget: Budget,
    pub(super) length: Length,
    pub(super) seed: u64,
    /// By group: its parameters.
    pub(super) members: Vec<Vec<ParamId>>,
    pub(super) names: Vec<String>,
    /// The whole network's sparsity at the end.
    pub(super) target: f64,
    /// By parameter: the density up to which it is packed.
    pub(super) packed_below: Vec<f64>,
    /// That at the start, where the method heeds it.
    pub(super) initial: f64,
    /// Values that one binding holds: more cannot be packed.
    pub(super) most_packed: usize,
    pub(super) dense: usize,
    /// By parameter: N and M, where it has such a pattern.
    pub(super) patterns: Vec<Option<(usize, usize)>>,
    /// By parameter: the density at the end, as its group has it.
    pub(super) density: Vec<f64>,
    /// By parameter: the density before the first update.
    pub(super) start_density: Vec<f64>,
    /// Where whole filters are pruned; the budget then counts channels.
    pub(super) filters: Option<Filters>,
    /// Where masks are made anew at every step.
    pub(super) flowing: Option<Flowing>,
    /// Where thresholds are learned.
    pub(super) soft: Option<Soft>,
    pub(super) updater: Updater,
    /// Where more weights are trained than kept.
    pub(super) backward_set: Option<BackwardSet>,
    /// Where hidden units are permuted before the prune, until they are.
    pub(super) permutation: Option<Permutation>,
    /// Whether they have been.
    pub(super) permuted: bool,
}

pub(super) enum Updater {
    /// Masks never change.
    Never,
    Prune(Box<Prune>),
    Filters(Box<filters::Filters>),
    Regrow(Box<Regrow>),
}

impl Pruner {
    /// Whether a parameter is packed once enough of it is pruned.
    pub fn may_pack(&self, param: ParamId) -> bool {
        self.packed_below[param.0] > 0.0
    }
    /// The density of a parameter at the end, as its group has it.
    pub fn final_density(&self, param: ParamId) -> f64 {
        self.density[param.0]
    }
    /// The density up to which a parameter is packed; 0 if it never is.
    pub fn packed_below(&self, param: ParamId) -> f64 {
        self.packed_below[param.0]
    }
    /// Whether a parameter that keeps `kept` of `len` weights is to be packed.
    pub fn packs(&self, param: ParamId, kept: usize, len: usize) -> bool {
        let fits = kept <= self.most_packed && kept < len;
        fits && self.may_pack(param) && kept as f64 <= self.packed_below[param.0] * len as f64
    }

    /// Records the mask update, again where the storage of a parameter has changed. `grads` are needed where weights grow.
    pub fn record(&mut self, gpu: &Gpu, params: &ParamSet, grads: &regrow::DenseGrad) -> Result<()> {
        self.forget(); // its memory first
        if self.method.backward_set().is_some() {
            self.backward_set = Some(BackwardSet::record(gpu, &self.members, params)?);
        }
        if let Some(rounds) = self.method.permutes().filter(|_| !self.permuted) {
            self.permutation = Some(Permutation::record(gpu, params, rounds)?);
        }
        self.updater = match self.method.growth() {
            Some(growth) => {
                let kept = self.keeps(self.length.steps, self.target)?.iter().sum();
                let site = Site { gpu, seed: self.seed, params, grads, kept };
                Updater::Regrow(Box::new(Regrow::record(&site, growth, &self.members)?))
            }
            None if matches!(self.entry.start, Start::Random | Start::Zeros)
                || self.method.mask_mode() == MaskMode::Flowing
                || self.soft.is_some()
                || self.filters.as_ref().is_some_and(|own| own.removed) =>
            {
                Updater::Never
            }
            None => match &self.filters {
                Some(own) => {
                    let update = filters::Filters::record(gpu, &own.channels, own.score, params)?;
                    Updater::Filters(Box::new(update))
                }
                None => {
                    let how = (self.method.criterion(), self.method.pooling());
                    let floor = |id: ParamId| self.budget.floor(params[id].len());
                    Updater::Prune(Box::new(Prune::record(gpu, &self.members, params, how, &floor)?))
                }
            },
        };
        Ok(())
    }

    /// Records what a method with flowing masks does before each forward pass.
    pub fn record_masks(&self, rec: &mut Recorder, params: &ParamSet) -> Result<()> {
        self.soft.as_ref().map_or(Ok(()), |soft| soft.record(rec, params))?;
        self.flowing.as_ref().map_or(Ok(()), |flowing| flowing.record(rec, params))
    }
    /// Records how running means of packed weights take over the gradient of a backward pass, which `grads` go on from, or
    /// what it `adds` to that of passes before it.
    pub fn record_means(
        &self,
        rec: &mut Recorder,
        params: &ParamSet,
        adds: bool,
        grads: &regrow::DenseGrad,
    ) -> Result<()> {
        let (Some(rule), Updater::Regrow(regrow)) = (self.method.mean(), &self.updater) else {
            return Ok(());
        };
        let rule = if adds { mean::Rule { decay: 1.0, ..rule } } else { rule };
        rec.phase(Phase::Masks);
        for (id, param) in trained(params).filter(|(_, param)| param.packed().is_some()) {
            rec.scope(&param.name);
            regrow.record_mean(rec, rule, (id, param), grads)?;
        }
        Ok(())
    }
    /// Records what the method does with the gradients of each step, once they are there.
    pub fn record_gradients(&self, rec: &mut Recorder, params: &ParamSet) -> Result<()> {
        self.soft.as_ref().map_or(Ok(()), |soft| soft.record_gradients(rec, params))?;
        rec.phase(Phase::Masks);
        for (id, param) in trained(params) {
            rec.scope(&param.name);
            if let Some(rule) = self.method.mean().filter(|_| param.packed().is_none()) {
                let segments = &mut param.segments.iter().zip(param.tensors(MEAN));
                segments.try_for_each(|(segment, mean)| mean::record(rec, rule, &segment.grad, mean))?;
            }
            // Where pruned weights are held at 0 there is nothing to pull.
            if let Some(pull) = self
                .method
                .pull(self.density[id.0])
                .filter(|pull| param.mask_mode() != MaskMode::Held || pull.inside != 0.0)
            {
                let segments = &mut param.segments.iter().zip(param.stored());
                segments.try_for_each(|(b, values)| shrink::record(rec, pull, &b.mask, values, &b.grad))?;
            }
        }
        Ok(())
    }
    /// Records what is learned besides weights.
    pub fn record_update(
        &self,
        rec: &mut Recorder,
        params: &ParamSet,
        step: &Uniform,
        totals: &Tensor,
    ) -> Result<()> {
        self.soft.as_ref().map_or(Ok(()), |soft| soft.record_update(rec, params, step, totals))
    }
    /// Whether masks are chosen at every step.
    pub fn flows(&self) -> bool {
        self.flowing.is_some()
    }
    /// Writes the numbers of a step that flowing masks need.
    pub fn open(&self, step: u64) -> Result<()> {
        let gate = |step, length, keep, of| self.method.gate(step, length, keep, of);
        self.flowing.as_ref().map_or(Ok(()), |flowing| flowing.open(step, self.length, &gate))
    }
    /// Makes flowing masks as they are at the end, N of every M and nothing of the others, from the values of now: what
    /// is judged, counted and stored. The next step makes its own.
    pub fn show_hard(&self) -> Result<()> {
        self.soft.as_ref().map_or(Ok(()), Soft::show)?;
        self.flowing.as_ref().map_or(Ok(()), Flowing::show_hard)
    }
    /// Makes flowing masks as the step `step` has them. Returns whether they differ from those at the end.
    pub fn show_soft(&self, step: u64) -> Result<bool> {
        let Some(flowing) = &self.flowing else { return Ok(false) };
        let gate = |step, length, keep, of| self.method.gate(step, length, keep, of);
        flowing.show(step, self.length, &gate)?;
        Ok(flowing.is_soft(step, self.length, &gate))
    }

    /// Whether the dense gradient of every step goes into running means.
    pub fn averages(&self) -> bool {
        self.method.mean().is_some()
    }

    /// Gives up what is recorded, before parameters get other memory.
    pub fn forget(&mut self) {
        (self.updater, self.backward_set, self.permutation) = (Updater::Never, None, None);
    }
    /// Gives up what only the mask update that was just made needed.
    pub fn settle(&mut self) {
        self.permuted |= self.permutation.take().is_some();
    }
    /// Goes on at `step` of a run. Returns whether that takes other plans than are recorded.
    pub fn go_on(&mut self, step: u64) -> bool {
        let permuted = self.method.permutes().is_some() && (0..step).any(|before| self.due(before).is_some());
        std::mem::replace(&mut self.permuted, permuted) != permuted
    }
    /// Whether an update searches for an order of hidden units, in as many rounds as find something.
    pub fn searches(&self) -> bool {
        self.permutation.as_ref().is_some_and(|permutation| permutation.plans().next().is_some())
    }
    /// Whether how much is kept is learned, and not asked for.
    pub fn is_learned(&self) -> bool {
        self.soft.is_some()
    }
    /// Where thresholds are learned, the sparsity of the masks that were recorded last.
    pub fn recorded_sparsity(&self, params: &ParamSet) -> Result<Option<f64>> {
        let share = |kept: usize| 1.0 - (kept + self.dense) as f64 / self.budget.total() as f64;
        self.soft.as_ref().map(|soft| soft.kept(params).map(share)).transpose()
    }
    /// Holds the masks: what flowed does so no longer.
    pub fn freeze(&mut self) {
        self.flowing = None;
    }
    /// What each group trains where it keeps `keeps`.
    fn trained(&self, keeps: &[usize]) -> Vec<usize> {
        let more = |len: usize| match self.method.backward_set() {
            Some(share) if share > 0.0 => budget::keep(len, 1.0 - share),
            _ => 0,
        };
        let groups = self.budget.groups.iter().zip(keeps);
        groups.map(|(group, &keep)| (keep + more(group.len)).min(group.len)).collect()
    }
    /// Updates the masks if that is due. Returns what changed, and the new patterns of packed parameters, which the
    /// caller gives to them. `again` passes a batch through the network.
    ///
    /// # Errors
    /// `Kind::Numbers` if a weight or gradient is not a number, with the layer's name.
    pub fn update(
        &self,
        step: u64,
        params: &ParamSet,
        again: &dyn Fn(Look) -> Result<()>,
    ) -> Result<Option<(Change, Vec<Renewal>)>> {
        let Some(sparsity) = self.due(step) else { return Ok(None) };
        let keeps = self.keeps(step, sparsity)?;
        if let Some(set) = &self.backward_set {
            set.update(step, &self.trained(&keeps))?;
        }
        let gate = |step, length, keep, of| self.method.gate(step, length, keep, of);
        let mut cut = Vec::new();
        let Outcome { layers, renewals } = match (&self.updater, self.method.growth()) {
            (Updater::Never, _) => {
                let layers = match (&self.flowing, &self.soft) {
                    (Some(flowing), _) => flowing.changes(step, self.length, &gate, params)?,
                    (None, Some(soft)) => soft.changes(step, params)?,
                    (None, None) => return Ok(None),
                };
                Outcome { layers, renewals: Vec::new() }
            }
            (Updater::Prune(prune), _) => {
                if let Some(permutation) = &self.permutation {
                    cut = permutation.run()?;
                }
                prune.update(step, &keeps, params, again)?
            }
            (Updater::Filters(filters), _) => filters.update(step, &keeps, params)?,
            (Updater::Regrow(regrow), Some(growth)) => {
                regrow.update(step, self.length, growth, &keeps, params)?
            }
            (Updater::Regrow(_), None) => return Err(Error::internal("growth without a rule for it")),
        };
        // Those of layers that are not listed, and of all.
        let whole = || (self.dense, self.budget.total());
        let (dense, total) = self.filters.as_ref().map_or_else(whole, |own| (own.untouched, own.weights));
        let kept = layers.iter().map(|layer| layer.kept).sum::<usize>() + dense;
        // What is learned is known only now.
        let sparsity = if self.soft.is_some() { 1.0 - kept as f64 / total as f64 } else { sparsity };
        Ok(Some((Change { step, sparsity, kept, total, layers, cut }, renewals)))
    }

    /// The mask update's dispatches.
    pub fn plans(&self) -> Vec<&Plan> {
        match &self.updater {
            Updater::Never => {
                let flowing = self.flowing.iter().flat_map(Flowing::plans);
                flowing.chain(self.soft.iter().map(Soft::plan)).collect()
            }
            Updater::Prune(prune) => {
                let before = self.backward_set.iter().map(BackwardSet::plan);
                let before = before.chain(self.permutation.iter().flat_map(Permutation::plans));
                before.chain([&prune.plan]).collect()
            }
            Updater::Filters(filters) => vec![&filters.plan],
            Updater::Regrow(regrow) => regrow.plans().collect(),
        }
    }
}

/// Parameters that may be pruned and whose layers train.
fn trained(params: &ParamSet) -> impl Iterator<Item = (ParamId, &Param)> {
    params.pairs().filter(|(_, param)| param.is_masked() && !param.frozen)
}
