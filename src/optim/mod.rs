//! Optimizers. One is a kernel, its settings and its named slots; masks are applied inside the kernel.
//!
//! Rules and defaults are PyTorch's. A weight that a pruning method grows starts with slots of 0, but the number `t`
//! of updates is one for all weights and goes on: the first step of such a weight is some three times as large with
//! Adam as it was for its neighbours, since nothing corrects its moments for their start at 0.

use toml::Value;

use crate::error::Result;
use crate::gpu::check::Check;
use crate::gpu::{Dtype, Gpu, Kernel, Phase, Recorder, Tensor, Uniform};
use crate::ops::Step;
use crate::param::Param;
use crate::recipe::{Optim, Settings, unknown};

mod adadelta;
mod adagrad;
mod adam;
mod adamw;
mod amsgrad;
mod checks;
mod diffgrad;
mod joint;
mod moments;
mod nadam;
mod rmsprop;
mod rule;
mod sgd;
mod spread;

use joint::Part;
pub use rule::{Rule, Target};

/// An optimizer in the list.
pub struct Entry {
    pub name: &'static str,
    pub about: &'static str,
    pub paper: &'static str,
    /// Kernels of its own, which leave open how they read.
    pub kernels: &'static [Kernel],
    /// Its settings with their defaults.
    pub settings: fn() -> Vec<(&'static str, Value)>,
    /// Names of the tensors it keeps for every weight, in the weight's shape, zero at first.
    pub slots: &'static [&'static str],
    pub build: fn(&Settings) -> Result<Box<dyn Rule>>,
    pub checks: fn() -> Vec<Check>,
}

/// All optimizers.
pub const ALL: &[Entry] = &[
    sgd::ENTRY,
    adagrad::ENTRY,
    adadelta::ENTRY,
    rmsprop::ENTRY,
    adam::ENTRY,
    amsgrad::ENTRY,
    adamw::ENTRY,
    nadam::ENTRY,
    diffgrad::ENTRY,
];

/// An optimizer with its slots for every parameter of a model.
pub struct Optimizer {
    pub entry: &'static Entry,
    rule: Box<dyn Rule>,
    /// By parameter, by block, in the order of `entry.slots`.
    slots: Vec<Vec<Vec<Tensor>>>,
}

/// The entry of that name, and its settings with every default filled in.
///
/// # Errors
/// `Kind::Usage` for an unknown name or key, with the nearest known one.
pub fn resolve(recipe: &Optim) -> Result<(&'static Entry, Settings)> {
    let entry = ALL
        .iter()
        .find(|entry| entry.name == recipe.name)
        .ok_or_else(|| unknown("optimizer", &recipe.name, ALL.iter().map(|entry| entry.name)))
        .map_err(|error| recipe.settings.locate("name", error))?;
    let settings = recipe.settings.resolve(&format!("optimizer `{}`", entry.name), &(entry.settings)())?;
    Ok((entry, settings))
}

impl Optimizer {
    /// Makes the slots, all zero.
    pub fn new(gpu: &Gpu, recipe: &Optim, params: &[&Param]) -> Result<Self> {
        let (entry, settings) = resolve(recipe)?;
        let rule = (entry.build)(&settings)?;
        let mut slots = Vec::new();
        for param in params {
            let mut blocks = Vec::new();
            for block in &param.blocks {
                let slot = |name: &&str| {
                    gpu.tensor(&format!("{}.{name}", param.name), Dtype::F32, &block.weight.shape)
                };
                blocks.push(entry.slots.iter().map(slot).collect::<Result<Vec<_>>>()?);
            }
            slots.push(blocks);
        }
        Ok(Self { entry, rule, slots })
    }

    /// Records the update of all parameters but frozen ones.
    pub fn record(
        &self,
        rec: &mut Recorder,
        params: &[&Param],
        step: &Uniform,
        totals: &Tensor,
    ) -> Result<()> {
        rec.phase(Phase::Update);
        for joint in self.joints(params) {
            rec.scope(&joint.name());
            let (flow, names) = (joint.flow, self.entry.slots);
            let texels = joint.texels && rec.gpu.prefers_texels();
            let parts = joint.parts.iter();
            let targets: Vec<Target> = parts
                .map(|Part { block, slots, weights }| Target {
                    block,
                    weights: *weights,
                    flow,
                    slots,
                    names,
                    step,
                    totals,
                    texels,
                    spread: None,
                })
                .collect();
            let spread = self.rule.record_spread(rec, &targets)?;
            for target in targets {
                self.rule.record(rec, &Target { spread: spread.as_ref(), ..target })?;
            }
        }
        Ok(())
    }

    /// `step` with what the rule needs to know of update number `step.update`, which counts from 1.
    pub fn corrected(&self, step: Step) -> Step {
        self.rule.corrected(step)
    }
    /// Slots of one parameter, by block, to be replaced where its storage changes.
    pub fn slots_mut(&mut self, param: usize) -> &mut Vec<Vec<Tensor>> {
        &mut self.slots[param]
    }
    /// Slots of one parameter, by block.
    pub fn slots_of(&self, param: usize) -> &[Vec<Tensor>] {
        &self.slots[param]
    }
    /// Makes the slots of one parameter 0.
    pub fn clear(&self, param: usize) -> Result<()> {
        let mut all = self.slots[param].iter().flatten();
        all.try_for_each(|slot| slot.write(&vec![0.0f32; slot.len()]))
    }
}

/// Every kernel that updates weights, in each way to read.
pub fn kernels() -> impl Iterator<Item = Kernel> {
    let bodies = ALL.iter().flat_map(|entry| entry.kernels);
    bodies.flat_map(|body| [false, true].map(|texels| rule::reading(*body, texels)))
}

/// Every check of this room.
pub fn checks() -> Vec<Check> {
    ALL.iter().flat_map(|entry| (entry.checks)()).collect()
}
