//! Optimizers. One is a kernel, its settings and its named slots; masks are applied inside the kernel.
//!
//! Rules and defaults are PyTorch's. A weight that a pruning method grows starts with slots of 0, but the number `t`
//! of updates is one for all weights and goes on: the first step of such a weight is some three times as large with
//! Adam as it was for its neighbours, since nothing corrects its moments for their start at 0.

use toml::Value;

use crate::error::Result;
use crate::gpu::check::Check;
use crate::gpu::{Gpu, Kernel, Phase, Recorder, Tensor, Uniform};
use crate::ops::Step;
use crate::param::{Like, ParamSet};
use crate::recipe::{Optim, Settings, unknown};

mod adadelta;
mod adagrad;
mod adam;
mod adamw;
mod amsgrad;
mod average;
mod checks;
mod clip;
mod diffgrad;
mod joint;
mod moments;
mod nadam;
mod rmsprop;
mod rule;
mod sgd;
mod spread;

pub use average::{Average, record_begin, record_exchange};
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

/// An optimizer. Its slots are companions of the parameters.
pub struct Optimizer {
    pub entry: &'static Entry,
    rule: Box<dyn Rule>,
    /// That of vectors, where weight decay is for matrices alone: the same without it.
    of_vectors: Option<Box<dyn Rule>>,
    /// The most that the norm of all gradients may be.
    clip: Option<f32>,
}

/// The key that says what weight decay is for, of optimizers that have it.
const DECAY: &str = "decay";
const WEIGHT_DECAY: &str = "weight_decay";

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
    let mut defaults = (entry.settings)();
    if defaults.iter().any(|(key, _)| *key == WEIGHT_DECAY) {
        defaults.push((DECAY, Value::String("all".into())));
    }
    let settings = recipe.settings.resolve(&format!("optimizer `{}`", entry.name), &defaults)?;
    Ok((entry, settings))
}

impl Optimizer {
    /// Gives each parameter that learns its slots, all zero.
    pub fn new(gpu: &Gpu, recipe: &Optim, params: &mut ParamSet) -> Result<Self> {
        let (entry, settings) = resolve(recipe)?;
        let rule = (entry.build)(&settings)?;
        let of_vectors = without_decay(&settings)?.map(|settings| (entry.build)(&settings)).transpose()?;
        for param in params.iter_mut().filter(|param| param.learns()) {
            entry.slots.iter().try_for_each(|slot| param.accompany(gpu, slot, Like::Values))?;
        }
        Ok(Self { entry, rule, of_vectors, clip: recipe.clip.map(|clip| clip as f32) })
    }

    /// Records the update of all parameters but frozen ones, whose gradients are clipped first if the recipe says so.
    pub fn record(
        &self,
        rec: &mut Recorder,
        params: &ParamSet,
        step: &Uniform,
        totals: &Tensor,
    ) -> Result<()> {
        rec.phase(Phase::Update);
        let joints = self.joints(params);
        if let Some(clip) = self.clip {
            rec.scope("gradients");
            clip::record(rec, &joints, clip)?;
        }
        for joint in joints {
            rec.scope(&joint.name());
            let (mode, names) = (joint.mode, self.entry.slots);
            let texels = joint.texels && rec.gpu.prefers_texels();
            let target = |part| Target { part, mode, names, step, totals, texels, spread: None };
            let targets: Vec<Target> = joint.parts.iter().map(target).collect();
            let rule = self.of_vectors.as_ref().filter(|_| !joint.is_matrix).unwrap_or(&self.rule);
            let spread = rule.record_spread(rec, &targets)?;
            for target in targets {
                rule.record(rec, &Target { spread: spread.as_ref(), ..target })?;
            }
        }
        Ok(())
    }

    /// `step` with what the rule needs to know of update number `step.update`, which counts from 1.
    pub fn corrected(&self, step: Step) -> Step {
        self.rule.corrected(step)
    }
}

/// The settings of vectors, where they differ from those of matrices.
fn without_decay(settings: &Settings) -> Result<Option<Settings>> {
    if !settings.values().contains_key(DECAY) {
        return Ok(None);
    }
    match settings.text(DECAY)? {
        "all" => Ok(None),
        "matrices" => {
            let mut values = settings.values().clone();
            values.insert(WEIGHT_DECAY.into(), Value::Float(0.0));
            Ok(Some(values.into()))
        }
        _ => Err(settings.wrong(DECAY, "\"all\", or \"matrices\": not biases and scales of normalisations")),
    }
}

/// Every kernel that updates weights, in each way to read.
pub fn kernels() -> impl Iterator<Item = Kernel> {
    let bodies = ALL.iter().flat_map(|entry| entry.kernels);
    bodies.flat_map(|body| [false, true].map(|texels| rule::reading(*body, texels)))
}

/// Every check of this room.
pub fn checks() -> Vec<Check> {
    ALL.iter().flat_map(|entry| (entry.checks)()).chain(clip::checks()).chain(average::checks()).collect()
}
