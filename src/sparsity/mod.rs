//! Pruning: how many (budget), when (schedule), which (top-k), and the methods that compose them.
//!
//! The host only schedules: every mask is decided and written on the device. This room knows no optimizer.

use crate::error::{Error, Kind, Result};
use crate::gpu::check::Check;
use crate::gpu::{Gpu, Phase, Plan, Recorder, Tensor};
use crate::param::{Block, Flow, Param};
use crate::recipe::Sparsity;

pub mod budget;
pub mod hold;
pub mod methods;
pub mod topk;

use budget::Budget;
use topk::Selection;

/// The length of a run, which turns shares and epochs into steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length {
    pub steps: u64,
    pub steps_per_epoch: u64,
}

/// What happens within one step, in the order in which a method wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// New masks, if an update is due, with zeros behind them.
    Masks,
    Forward,
    Backward,
    /// The optimizer; masks are applied inside its kernel.
    Update,
}

/// A mask update as it happened.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Change {
    pub step: u64,
    /// The sparsity that was due for the whole network.
    pub sparsity: f64,
    pub kept: usize,
    pub total: usize,
    pub layers: Vec<LayerChange>,
}

/// What a mask update did to one layer.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct LayerChange {
    pub name: String,
    pub kept: usize,
    pub grown: usize,
    pub dropped: usize,
    pub total: usize,
}

/// Schedules a method's mask updates.
pub struct Pruner {
    pub entry: &'static methods::Entry,
    method: Box<dyn methods::Method>,
    budget: Budget,
    length: Length,
    selections: Vec<Selection>,
    /// By group, by member block: the parameter it belongs to.
    owners: Vec<Vec<usize>>,
    names: Vec<String>,
    lens: Vec<usize>,
    dense: usize,
    plan: Plan,
}

/// Gives masks to the parameters that `recipe` prunes. Nothing is pruned yet.
///
/// # Errors
/// `Kind::Usage` for an unknown method, a rule that matches nothing, a schedule that does not fit the run, or
/// a target that cannot be met: before step 0.
pub fn prepare(
    gpu: &Gpu,
    recipe: &Sparsity,
    length: Length,
    params: &mut [&mut Param],
) -> Result<Option<Prepared>> {
    let (entry, method) = methods::resolve(recipe)?;
    let Some(method) = method else { return Ok(None) };
    recipe.schedule.check(length.steps, length.steps_per_epoch)?;
    let maskable: Vec<usize> = (0..params.len()).filter(|&i| params[i].is_maskable()).collect();
    let tensor = |&i: &usize| budget::Tensor { name: params[i].name.clone(), shape: params[i].shape.clone() };
    let budget = Budget::new(maskable.iter().map(tensor).collect(), recipe.distribution, &recipe.rules)?;
    // The first and the last target: in between, the sparsity is monotone.
    budget.keeps(recipe.initial(), |target| target.min(recipe.initial()))?;
    budget.keeps(recipe.target, |target| target)?;
    for group in &budget.groups {
        for &member in &group.members {
            params[maskable[member]].mask_with(gpu, method.flow())?;
        }
    }
    Ok(Some(Prepared { entry, method, budget, maskable, length }))
}

/// A method and its budget, before its dispatches are recorded.
pub struct Prepared {
    pub entry: &'static methods::Entry,
    method: Box<dyn methods::Method>,
    budget: Budget,
    maskable: Vec<usize>,
    length: Length,
}

impl Prepared {
    /// Records the mask update. `slots` are the optimizer's, by parameter and block: zeroed where a weight is.
    pub fn record(
        self,
        gpu: &Gpu,
        params: &[&Param],
        slots: impl Fn(usize) -> Vec<Vec<Tensor>>,
    ) -> Result<Pruner> {
        let mut rec = Recorder::new(gpu);
        rec.phase(Phase::Masks);
        let mut selections = Vec::new();
        let mut owners = Vec::new();
        for group in &self.budget.groups {
            let members: Vec<usize> = group.members.iter().map(|&member| self.maskable[member]).collect();
            let blocks =
                || members.iter().flat_map(|&i| params[i].blocks.iter().map(move |block| (i, block)));
            let pairs: Vec<_> = blocks().map(|(_, block)| (block.stored(), &block.mask)).collect();
            rec.scope(if members.len() == 1 { &params[members[0]].name } else { "all" });
            selections.push(Selection::record(&mut rec, &pairs)?);
            owners.push(blocks().map(|(i, _)| i).collect());
            for &i in &members {
                rec.scope(&params[i].name);
                for (block, slots) in params[i].blocks.iter().zip(slots(i)) {
                    record_zeros(&mut rec, params[i].flow, block, &slots)?;
                }
            }
        }
        let all = self.budget.total();
        let pruned: usize = self.budget.groups.iter().map(|group| group.len).sum();
        Ok(Pruner {
            entry: self.entry,
            method: self.method,
            length: self.length,
            selections,
            owners,
            names: params.iter().map(|p| p.name.clone()).collect(),
            lens: params.iter().map(|p| p.len()).collect(),
            dense: all - pruned,
            budget: self.budget,
            plan: rec.finish()?,
        })
    }
}

fn record_zeros(rec: &mut Recorder, flow: Flow, block: &Block, slots: &[Tensor]) -> Result<()> {
    match (&block.latent, flow) {
        (Some(latent), Flow::Latent) => hold::record_effective(rec, &block.mask, latent, &block.weight),
        (_, Flow::Held) => {
            hold::record_in_place(rec, &block.mask, &block.weight)?;
            slots.iter().try_for_each(|slot| hold::record_in_place(rec, &block.mask, slot))
        }
        _ => Ok(()),
    }
}

/// After each optimizer step, latent weights pass to the forward pass through their masks.
pub fn record_effective(rec: &mut Recorder, params: &[&Param]) -> Result<()> {
    for param in params.iter().filter(|param| param.flow == Flow::Latent) {
        rec.scope(&param.name);
        for block in &param.blocks {
            record_zeros(rec, param.flow, block, &[])?;
        }
    }
    Ok(())
}

impl Pruner {
    /// The sparsity due at `step`, if masks are updated there.
    pub fn due(&self, step: u64) -> Option<f64> {
        self.method.due(step, self.length)
    }
    /// What each group keeps at `step`.
    fn keeps(&self, step: u64, sparsity: f64) -> Result<Vec<usize>> {
        self.budget.keeps(sparsity, |target| self.method.sparsity(step, target, self.length))
    }

    /// Updates the masks if that is due, and checks the counts: they are exact or an error.
    ///
    /// # Errors
    /// `Kind::Numbers` if a weight is not a number, with the layer's name.
    pub fn update(&self, step: u64) -> Result<Option<Change>> {
        let Some(sparsity) = self.due(step) else { return Ok(None) };
        let keeps = self.keeps(step, sparsity)?;
        for (selection, &keep) in self.selections.iter().zip(&keeps) {
            selection.keep(keep)?;
        }
        self.plan.replay()?;
        let mut layers: Vec<LayerChange> = Vec::new();
        for ((selection, owners), &keep) in self.selections.iter().zip(&self.owners).zip(&keeps) {
            let counts = selection.counts()?;
            for (count, &owner) in counts.iter().zip(owners) {
                let name = &self.names[owner];
                if count.nans > 0 {
                    return Err(Error::new(
                        Kind::Numbers,
                        format!("{} weights of `{name}` are not a number", count.nans),
                    )
                    .at(format!("mask update at step {step}"))
                    .hint("a lower learning rate; `coppice resume` starts from the last good checkpoint"));
                }
                if layers.last().is_none_or(|layer| layer.name != *name) {
                    let total = self.lens[owner];
                    layers.push(LayerChange { name: name.clone(), kept: 0, grown: 0, dropped: 0, total });
                }
                let layer = layers.last_mut().expect("just pushed");
                layer.kept += count.kept as usize;
                layer.grown += count.grown as usize;
                layer.dropped += count.dropped as usize;
            }
            let kept: usize = counts.iter().map(|count| count.kept as usize).sum();
            if kept != keep && self.plan_runs() {
                return Err(Error::internal(format!("a mask update kept {kept} weights instead of {keep}"))
                    .at(format!("step {step}")));
            }
        }
        let kept = layers.iter().map(|layer| layer.kept).sum::<usize>() + self.dense;
        Ok(Some(Change { step, sparsity, kept, total: self.budget.total(), layers }))
    }

    fn plan_runs(&self) -> bool {
        !self.plan.gpu().is_counted()
    }

    /// All updates of the run: step, sparsity and weights kept.
    pub fn schedule(&self) -> Result<Vec<(u64, f64, usize)>> {
        let mut all = Vec::new();
        for step in 0..self.length.steps {
            if let Some(sparsity) = self.due(step) {
                let kept = self.keeps(step, sparsity)?.iter().sum::<usize>() + self.dense;
                all.push((step, sparsity, kept));
            }
        }
        Ok(all)
    }

    /// What is kept at `sparsity` in each group, with the names of its tensors.
    pub fn budgets(&self, sparsity: f64) -> Result<Vec<(Vec<String>, usize, usize)>> {
        let keeps = self.keeps(self.length.steps, sparsity)?;
        let names = |owners: &Vec<usize>| {
            let mut names: Vec<String> = owners.iter().map(|&i| self.names[i].clone()).collect();
            names.dedup();
            names
        };
        let groups = self.owners.iter().zip(&self.budget.groups).zip(keeps);
        Ok(groups.map(|((owners, group), keep)| (names(owners), keep, group.len)).collect())
    }

    /// The mask update's dispatches.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

/// Every check of this room.
pub fn checks() -> Vec<Check> {
    let mut all = topk::checks();
    all.extend(hold::checks());
    all
}
