//! Pruning: how many (budget), when (schedule), which (top-k), and the methods that compose them.
//!
//! The host only schedules: every mask is decided and written on the device. This room knows no optimizer.

use crate::error::{Error, Kind, Result};
use crate::gpu::check::Check;
use crate::gpu::{Dtype, Gpu, Phase, Plan, Recorder, Tensor};
use crate::ops::packed::{Form, Pattern, crossover};
use crate::ops::variants::{Choices, Shape};
use crate::param::{Block, Flow, Param};
use crate::recipe::{Distribution, Sparsity, Storage};

pub mod budget;
mod candidates;
mod collect;
mod draw;
pub mod growth;
pub mod hold;
pub mod mean;
mod merge;
pub mod methods;
mod prune;
pub mod regrow;
mod running;
pub mod topk;

use budget::Budget;
use methods::Start;
use prune::Prune;
use regrow::{Regrow, Site};

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
    /// `masked` or `packed`, from this update on.
    pub storage: &'static str,
}

impl LayerChange {
    fn none(param: &Param) -> Self {
        let (name, total, storage) = (param.name.clone(), param.len(), param.storage());
        Self { name, kept: 0, grown: 0, dropped: 0, total, storage }
    }
}

/// New patterns of packed parameters, by number.
pub type Patterns = Vec<(usize, Pattern)>;

/// What an update came to: counts by layer, and the new patterns of packed parameters, which their owner applies.
#[derive(Default)]
pub struct Outcome {
    pub layers: Vec<LayerChange>,
    pub patterns: Patterns,
}

/// Schedules a method's mask updates.
pub struct Pruner {
    pub entry: &'static methods::Entry,
    method: Box<dyn methods::Method>,
    budget: Budget,
    length: Length,
    seed: u64,
    /// By group: its parameters.
    members: Vec<Vec<usize>>,
    /// By parameter, by block: running means of the gradient, where the method keeps them.
    means: Vec<Vec<Tensor>>,
    names: Vec<String>,
    /// The whole network's sparsity at the end.
    target: f64,
    /// By parameter: the density up to which it is packed.
    packed_below: Vec<f64>,
    /// Values that one binding holds: more cannot be packed.
    most_packed: usize,
    dense: usize,
    updater: Updater,
}

enum Updater {
    /// Masks never change.
    Never,
    Prune(Prune),
    Regrow(Box<Regrow>),
}

/// What a network is pruned for, besides its recipe.
pub struct Setting<'a> {
    pub seed: u64,
    pub length: Length,
    /// Measured choices of kernels, with the densities from which packed storage is faster.
    pub choices: &'a Choices,
    /// Columns of a batch.
    pub cols: usize,
    /// Whether packed products read bf16.
    pub narrow: bool,
}

/// Gives memory to all parameters: dense, masked or packed, as `recipe` asks for, with the masks of the start.
///
/// # Errors
/// `Kind::Usage` for an unknown method, a rule that matches nothing, a schedule that does not fit the run, or
/// a target that cannot be met: before step 0.
pub fn prepare(
    gpu: &Gpu,
    recipe: &Sparsity,
    setting: &Setting,
    params: &mut [&mut Param],
) -> Result<Option<Pruner>> {
    if let Some(param) = params.iter().find(|param| param.len() > u32::MAX as usize) {
        return Err(Error::new(Kind::Memory, format!("`{}` has more than 2^32 elements", param.name))
            .at(format!("shape {:?}", param.shape))
            .hint("narrower layers"));
    }
    let (entry, method) = methods::resolve(recipe)?;
    let Some(method) = method else {
        params.iter_mut().try_for_each(|param| param.allocate(gpu))?;
        return Ok(None);
    };
    let length = setting.length;
    if entry.order.contains(&Stage::Masks) {
        recipe.schedule.check(length.steps, length.steps_per_epoch)?;
    }
    let declared: Vec<&Param> = params.iter().map(|param| &**param).collect();
    let (maskable, budget) = budget_of(recipe, &declared)?;
    for (&i, tensor) in maskable.iter().zip(budget.tensors()) {
        params[i].form = tensor.form;
        if tensor.form != Form::Free && (entry.start != Start::Random || method.growth().is_some()) {
            let form = tensor.form.name();
            return Err(Error::usage(format!("method `{}` prunes single weights, not {form}", entry.name))
                .at(format!("layer {}", tensor.name))
                .hint("method = \"static\", or pattern = \"free\""));
        }
    }
    // The first and the last target: in between, the sparsity is monotone.
    budget.keeps(recipe.initial(), |target| target.min(recipe.initial()))?;
    let keeps = budget.keeps(recipe.target, |target| target)?;
    let group_members =
        |group: &budget::Group| group.members.iter().map(|&member| maskable[member]).collect::<Vec<_>>();
    let members: Vec<Vec<usize>> = budget.groups.iter().map(group_members).collect();
    if entry.start == Start::Random && members.iter().any(|group| group.len() > 1) {
        return Err(Error::usage(format!("method `{}` needs a number for each layer", entry.name))
            .at("distribution = \"global\" has one for all")
            .hint("distribution = \"erk\" or \"uniform\""));
    }
    for &i in members.iter().flatten() {
        params[i].flow = method.flow();
    }
    if method.mean().is_some() && recipe.storage == Storage::Packed {
        return Err(Error::usage(format!("method `{}` keeps a dense mean of the gradient", entry.name))
            .at("storage = \"packed\"")
            .hint("storage = \"masked\" or \"auto\""));
    }
    let limit = |param: &Param| match recipe.storage {
        _ if param.flow != Flow::Held || method.mean().is_some() => 0.0,
        Storage::Masked => 0.0,
        Storage::Packed => 1.0,
        Storage::Auto => {
            let shape = Shape::new(param.shape[0], param.shape[1..].iter().product(), setting.cols);
            crossover::known(setting.choices, param.form, shape, setting.narrow)
        }
    };
    let packed_below = params.iter().map(|param| limit(param)).collect();
    let pruned: usize = budget.groups.iter().map(|group| group.len).sum();
    let mut pruner = Pruner {
        entry,
        method,
        length,
        seed: setting.seed,
        means: Vec::new(),
        names: params.iter().map(|param| param.name.clone()).collect(),
        target: recipe.target,
        packed_below,
        most_packed: gpu.limits().binding_bytes as usize / 4,
        dense: budget.total() - pruned,
        members,
        budget,
        updater: Updater::Never,
    };
    let starts = pruner.starts(recipe, &keeps)?;
    for (i, param) in params.iter_mut().enumerate() {
        match starts[i] {
            Some(keep) => pruner.start(gpu, i, keep, param)?,
            None => param.allocate(gpu)?,
        }
        let blocks =
            if param.is_masked() && pruner.method.mean().is_some() { &param.blocks[..] } else { &[] };
        let mean =
            |block: &Block| gpu.tensor(&format!("{}.mean", param.name), Dtype::F32, &block.weight.shape);
        pruner.means.push(blocks.iter().map(mean).collect::<Result<_>>()?);
    }
    Ok(Some(pruner))
}

/// The parameters that can be pruned, and their budget.
fn budget_of(recipe: &Sparsity, params: &[&Param]) -> Result<(Vec<usize>, Budget)> {
    let maskable: Vec<usize> = (0..params.len()).filter(|&i| params[i].is_maskable()).collect();
    let tensor = |&i: &usize| -> Result<budget::Tensor> {
        let (name, shape) = (&params[i].name, &params[i].shape);
        let form = budget::form(name, shape, recipe.pattern, &recipe.rules)?;
        Ok(budget::Tensor { name: name.clone(), shape: shape.clone(), form })
    };
    let tensors = maskable.iter().map(tensor).collect::<Result<Vec<_>>>()?;
    let budget = Budget::new(tensors, recipe.spread(), &recipe.rules)?;
    Ok((maskable, budget))
}

/// What a recipe will prune, before anything has memory: parameter, form, and density at the end.
pub fn outline(recipe: &Sparsity, params: &[&Param]) -> Result<Vec<(usize, Form, f64)>> {
    if methods::resolve(recipe)?.1.is_none() {
        return Ok(Vec::new());
    }
    let (maskable, budget) = budget_of(recipe, params)?;
    let keeps = budget.keeps(recipe.target, |target| target)?;
    let mut all = Vec::new();
    for (group, keep) in budget.groups.iter().zip(keeps) {
        for &member in &group.members {
            let density = keep as f64 / group.len as f64;
            all.push((maskable[member], budget.tensors()[member].form, density));
        }
    }
    Ok(all)
}

impl Pruner {
    /// By parameter, how many weights it keeps before the first step, where not all; `keeps` are those at the end.
    fn starts(&self, recipe: &Sparsity, keeps: &[usize]) -> Result<Vec<Option<usize>>> {
        let mut all = vec![None; self.names.len()];
        let (members, keeps) = match self.entry.start {
            Start::Dense => return Ok(all),
            Start::Initial if recipe.initial() == 0.0 => return Ok(all),
            Start::Random => (self.members.clone(), keeps.to_vec()),
            Start::Initial => {
                let spread = match recipe.spread() {
                    Distribution::Global => Distribution::Erk,
                    other => other,
                };
                let budget = Budget::new(self.budget.tensors().to_vec(), spread, &recipe.rules)?;
                let index = |name: &str| self.names.iter().position(|own| own == name).expect("of the model");
                let numbers = |group: &budget::Group| -> Vec<usize> {
                    group.members.iter().map(|&member| index(&budget.tensors()[member].name)).collect()
                };
                let initial = recipe.initial();
                let keeps = budget.keeps(initial, |target| target.min(initial))?;
                (budget.groups.iter().map(numbers).collect(), keeps)
            }
        };
        for (group, keep) in members.iter().zip(keeps) {
            all[group[0]] = Some(keep);
        }
        Ok(all)
    }

    /// Gives a parameter its random mask of the start.
    fn start(&self, gpu: &Gpu, number: usize, keep: usize, param: &mut Param) -> Result<()> {
        let shape = (param.shape[0], param.shape[1..].iter().product());
        let pattern = draw::draw(gpu, self.seed, number as u32, param.form, shape, keep)?;
        if self.packs(number, pattern.kept(), pattern.len()) {
            return param.allocate_packed(gpu, pattern);
        }
        param.allocate(gpu)?;
        param.write_mask(&pattern.mask())?;
        let values = param.read()?;
        let kept: Vec<f32> = pattern.flat().iter().map(|&i| values[i as usize]).collect();
        param.write(&pattern.dense(&kept))
    }

    /// Whether a parameter is packed once enough of it is pruned.
    pub fn may_pack(&self, param: usize) -> bool {
        self.packed_below[param] > 0.0
    }
    /// The density up to which a parameter is packed; 0 if it never is.
    pub fn packed_below(&self, param: usize) -> f64 {
        self.packed_below[param]
    }
    /// Whether a parameter that keeps `kept` of `len` weights is to be packed.
    pub fn packs(&self, param: usize, kept: usize, len: usize) -> bool {
        let fits = kept > 0 && kept <= self.most_packed && kept < len;
        fits && self.may_pack(param) && kept as f64 <= self.packed_below[param] * len as f64
    }

    /// Records the mask update, again where the storage of a parameter has changed. `slots` are the optimizer's,
    /// by parameter and block; `grads` are needed where weights grow.
    pub fn record(
        &mut self,
        gpu: &Gpu,
        params: &[&Param],
        slots: &dyn Fn(usize) -> Vec<Vec<Tensor>>,
        grads: &regrow::DenseGrad,
    ) -> Result<()> {
        self.updater = Updater::Never; // its memory first
        self.updater = match self.method.growth() {
            Some(growth) => {
                let means = |param: usize| self.means[param].clone();
                let site = Site { gpu, seed: self.seed, params, slots, grads, means: &means };
                Updater::Regrow(Box::new(Regrow::record(&site, growth, &self.members)?))
            }
            None if self.entry.start == Start::Random => Updater::Never,
            None => Updater::Prune(Prune::record(gpu, &self.members, params, slots)?),
        };
        Ok(())
    }

    /// Records what the method does with the gradients of each step, after the backward pass.
    pub fn record_gradients(&self, rec: &mut Recorder, params: &[&Param]) -> Result<()> {
        let Some(rule) = self.method.mean() else { return Ok(()) };
        rec.phase(Phase::Masks);
        for (param, means) in params.iter().zip(&self.means) {
            rec.scope(&param.name);
            for (block, mean) in param.blocks.iter().zip(means) {
                mean::record(rec, rule, &block.grad, mean)?;
            }
        }
        Ok(())
    }
    /// Running means of the gradient of one parameter, by block; state of the run.
    pub fn means_of(&self, param: usize) -> &[Tensor] {
        &self.means[param]
    }

    /// Gives up what is recorded, before parameters get other memory.
    pub fn forget(&mut self) {
        self.updater = Updater::Never;
    }
    /// Whether weights grow, by gradients of the step.
    pub fn grows(&self) -> bool {
        self.method.growth().is_some()
    }
    /// Whether the optimizer rests at `step`.
    pub fn rests(&self, step: u64) -> bool {
        self.method.rests(step) && self.due(step).is_some()
    }
    /// The sparsity due at `step`, if masks are updated there.
    pub fn due(&self, step: u64) -> Option<f64> {
        self.method.due(step, self.length)
    }
    /// What each group keeps at `step`.
    fn keeps(&self, step: u64, sparsity: f64) -> Result<Vec<usize>> {
        let wanted = self.method.keep(self.budget.total(), sparsity);
        self.budget.keeps_in_all(wanted, sparsity, |target| self.method.sparsity(step, target, self.length))
    }
    /// The whole network's sparsity at the end of the run.
    pub fn final_sparsity(&self) -> f64 {
        (0..self.length.steps).rev().find_map(|step| self.due(step)).unwrap_or(self.target)
    }
    /// Weights that are kept of all maskable ones at the end of the run.
    pub fn wanted(&self) -> Result<usize> {
        let last = self.length.steps.saturating_sub(1);
        Ok(self.keeps(last, self.final_sparsity())?.iter().sum::<usize>() + self.dense)
    }

    /// Updates the masks if that is due. Returns what changed, and the new patterns of packed parameters, which the
    /// caller gives to them.
    ///
    /// # Errors
    /// `Kind::Numbers` if a weight or gradient is not a number, with the layer's name.
    pub fn update(&self, step: u64, params: &[&Param]) -> Result<Option<(Change, Patterns)>> {
        let Some(sparsity) = self.due(step) else { return Ok(None) };
        let keeps = self.keeps(step, sparsity)?;
        let Outcome { layers, patterns } = match (&self.updater, self.method.growth()) {
            (Updater::Never, _) => return Ok(None),
            (Updater::Prune(prune), _) => prune.update(step, &keeps, params)?,
            (Updater::Regrow(regrow), Some(growth)) => {
                regrow.update(step, self.length, growth, &keeps, params)?
            }
            (Updater::Regrow(_), None) => return Err(Error::internal("growth without a rule for it")),
        };
        let kept = layers.iter().map(|layer| layer.kept).sum::<usize>() + self.dense;
        Ok(Some((Change { step, sparsity, kept, total: self.budget.total(), layers }, patterns)))
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
        let names = |group: &Vec<usize>| group.iter().map(|&i| self.names[i].clone()).collect();
        let groups = self.members.iter().zip(&self.budget.groups).zip(keeps);
        Ok(groups.map(|((members, group), keep)| (names(members), keep, group.len)).collect())
    }

    /// The mask update's dispatches.
    pub fn plans(&self) -> Vec<&Plan> {
        match &self.updater {
            Updater::Never => Vec::new(),
            Updater::Prune(prune) => vec![&prune.plan],
            Updater::Regrow(regrow) => regrow.plans().collect(),
        }
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

/// Refuses scores that are not numbers.
fn not_numbers(count: u32, what: &str, name: &str, step: u64) -> Result<()> {
    if count == 0 {
        return Ok(());
    }
    Err(Error::new(Kind::Numbers, format!("{count} {what} of `{name}` are not a number"))
        .at(format!("mask update at step {step}"))
        .hint("a lower learning rate; `coppice resume` starts from the last good checkpoint"))
}

/// Every check of this room.
pub fn checks() -> Vec<Check> {
    let mut all = topk::checks();
    all.extend(hold::checks());
    all.extend(candidates::checks());
    all.extend(collect::checks());
    all.extend(mean::checks());
    all.extend(merge::checks());
    all
}
