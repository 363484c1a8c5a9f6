//! Stages of a run. When one is over, the next begins with the weights that it left, and with nothing else of it: optimizer,
//! masks and schedules are new.
//!
//! Within a session steps count from the start of its stage, as all that depends on the step does; what is said, stored and
//! drawn counts from the start of the run.

use std::fmt;

use super::outline::{is_narrow, planned};
use super::passes::Passes;
use super::patience::Patience;
use super::plans::Plans;
use super::session::Session;
use super::unfreeze::Phases;
use super::{averages, compact, refusals, remove};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::nn::Model;
use crate::ops::variants::Choices;
use crate::optim::{Average, Optimizer};
use crate::param::ParamSet;
use crate::recipe::{Recipe, Sparsity, Structure};
use crate::sparsity::{self, Length, Pruner, Setting, methods};
use crate::store::{Array, Arrays};

/// A stage, for people.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Stage {
    /// Counted from 1.
    pub stage: usize,
    pub of: usize,
    /// The first of its steps.
    pub step: u64,
    /// How many it has at most.
    pub steps: u64,
    pub optimizer: String,
    /// The outputs that count; the first is judged.
    pub outputs: Vec<String>,
    pub method: String,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stage, of, step, steps, optimizer, outputs, method } = self;
        write!(
            f,
            "{stage} of {of}: at most {steps} steps from step {step}; {optimizer}; outputs {}",
            outputs.join(", ")
        )?;
        if method == "none" { Ok(()) } else { write!(f, "; {method}") }
    }
}

/// What a stage has of its own.
pub(super) struct Parts {
    pub model: Model,
    pub pruner: Option<Pruner>,
    pub phases: Phases,
    pub optimizer: Optimizer,
    pub average: Option<Average>,
}

impl Parts {
    /// Gives the parameters of a model their memory, their masks and their slots.
    pub fn new(
        gpu: &Gpu,
        recipe: &Recipe,
        mut model: Model,
        (length, cols): (Length, usize),
        choices: &Choices,
    ) -> Result<Self> {
        if length.steps * u64::from(recipe.run.accumulate) > u32::MAX as u64 / 2 {
            return Err(Error::usage(format!("{} steps are too many: at most 2^31 batches", length.steps)));
        }
        recipe.loss.outputs.as_ref().map_or(Ok(()), |outputs| model.weigh(outputs))?;
        let narrow = is_narrow(recipe);
        let coupling = (recipe.sparsity.pattern == Structure::Filter).then(|| model.coupling());
        let channels = coupling.as_ref().map(|coupling| &coupling.channels);
        let setting = Setting { seed: recipe.run.seed, length, choices, cols, narrow, channels };
        let pruner = sparsity::prepare(gpu, &recipe.sparsity, &setting, &mut model.params)?;
        let names: Vec<&str> = model.trainable_layers().map(|layer| layer.name.as_str()).collect();
        // Two at most differ: those of the first and of the last step.
        let course = |step| pruner.as_ref().map_or(length, |pruner| pruner.clock(step).1);
        let courses = [course(0), course(length.steps.saturating_sub(1))];
        let phases = Phases::new(&recipe.unfreeze, &names, &courses)?.among(&model.counting_layers());
        refusals::of_method(recipe, &model, pruner.as_ref())?;
        averages::check(recipe, &model.params)?;
        let optimizer = Optimizer::new(gpu, &recipe.optim, &mut model.params)?;
        let average =
            recipe.optim.ema.map(|decay| Average::new(gpu, decay, &mut model.params)).transpose()?;
        Ok(Self { model, pruner, phases, optimizer, average })
    }
}

impl Session {
    /// A stage of a recipe, counted from 0, as it is planned: with random weights, after stages that had all their steps.
    ///
    /// # Errors
    /// As those of [`Session::new`].
    pub fn of_stage(
        gpu: &Gpu,
        recipe: &Recipe,
        data: &Dataset,
        choices: Choices,
        number: usize,
    ) -> Result<Self> {
        let whole = super::session::resolve_for(recipe, data)?;
        let mut own = whole.stage(number);
        if number > 0 && methods::holds_zeros(&own.sparsity.method) {
            own.sparsity = Sparsity::none(); // which weights are 0 is known when it begins
        }
        let mut session = Self::new(gpu, &own, data, choices)?;
        refusals::of_later(&session)?;
        session.before = (0..number).map(|before| planned(&recipe.stage(before), session.length).steps).sum();
        (session.whole, session.stage) = (whole, number);
        Ok(session)
    }

    /// The stage that the next step belongs to, or the last one.
    pub fn stage(&self) -> Stage {
        let counting = self.model.heads().iter().filter(|head| head.weight > 0.0);
        Stage {
            stage: self.stage + 1,
            of: self.whole.stage_count(),
            step: self.before,
            steps: self.length.steps,
            optimizer: self.recipe.optim.name.clone(),
            outputs: counting.map(|head| head.name.clone()).collect(),
            method: self.recipe.sparsity.method.clone(),
        }
    }

    /// Steps of the run that are done, of all stages.
    pub fn steps_done(&self) -> u64 {
        self.before + self.step
    }
    /// Steps of the run: fewer where a stage ends early.
    pub fn steps_in_all(&self) -> u64 {
        let further = self.stage + 1..self.whole.stage_count();
        let further = further.map(|number| planned(&self.whole.stage(number), self.length).steps);
        self.before + self.length.steps + further.sum::<u64>()
    }
    /// The epoch of a step of this stage. Each stage begins with an epoch, which no stage before has had.
    pub(super) fn epoch_of(&self, step: u64) -> u64 {
        self.before.div_ceil(self.length.steps_per_epoch) + step / self.length.steps_per_epoch
    }

    /// Whether all steps of the stage are done, or its patience is over.
    pub fn is_stage_done(&self) -> bool {
        self.step >= self.length.steps || self.patience.is_over(self.recipe.run.patience)
    }
    /// Whether the last stage is.
    pub fn is_done(&self) -> bool {
        self.is_stage_done() && self.stage + 1 == self.whole.stage_count()
    }

    /// Begins the next stage.
    ///
    /// # Errors
    /// As those of [`Session::new`].
    pub(super) fn next_stage(&mut self) -> Result<()> {
        self.pruner.as_ref().map_or(Ok(()), Pruner::show_hard)?;
        let mut values = Vec::new();
        for param in &self.model.params {
            let mut own = param.dense(param.read_filed()?);
            if param.is_masked() {
                clear_pruned(&mut own, &param.read_mask()?);
            }
            values.push(own);
        }
        self.flops.push(self.train_flops(self.step)?);
        self.enter_stage(self.stage + 1, self.steps_done(), values)
    }

    /// Takes up the stage that a checkpoint is of, where it is another.
    pub(super) fn find_stage(&mut self, stage: usize, before: u64, arrays: &Arrays) -> Result<()> {
        if stage >= self.whole.stage_count() {
            let error = Error::checkpoint(format!("the checkpoint is of stage {}", stage + 1));
            return Err(error.at(format!("the recipe has {}", self.whole.stage_count())));
        }
        if stage == self.stage {
            self.before = before;
            return Ok(());
        }
        let shape_of =
            |name: &str| self.model.params.named(name).map(|id| self.model.params[id].shape.clone());
        let whole = compact::expand(arrays, shape_of)?;
        let is_smaller = remove::has_removed(arrays);
        let mut values = Vec::new();
        for param in &self.model.params {
            let own = whole.get(&param.name).filter(|own| own.len() == param.len());
            if own.is_none() && is_smaller {
                values.push(vec![0.0; param.len()]); // what is left of it is read once the network is as small
                continue;
            }
            let mut own = own.map(Array::to_f32).ok_or_else(|| {
                Error::checkpoint(format!("tensor `{}` is missing, or has another shape", param.name))
                    .hint("the recipe that these weights were trained with")
            })?;
            if let Some(mask) = whole.get(&format!("{}.mask", param.name)) {
                clear_pruned(&mut own, &mask.to_u32()?);
            }
            values.push(own);
        }
        self.enter_stage(stage, before, values)
    }

    /// Makes everything anew but the data, by the recipe of a stage and with these weights.
    fn enter_stage(&mut self, stage: usize, before: u64, values: Vec<Vec<f32>>) -> Result<()> {
        let recipe = self.whole.stage(stage);
        // Its memory first.
        self.plans = Plans::none(&self.gpu)?;
        (self.passes, self.pruner, self.carried) = (Passes::none(), None, None);
        self.model.params = ParamSet::default();
        let seed = recipe.run.seed;
        let mut model = Model::new(&recipe.model, self.model.input.clone(), self.model.classes, seed)?;
        model.params.iter_mut().zip(values).for_each(|(param, own)| param.begin_with(own));
        self.length = planned(&recipe, self.length);
        let cols = self.columns.batch;
        let parts = Parts::new(&self.gpu, &recipe, model, (self.length, cols), &self.choices)?;
        (self.model, self.pruner, self.phases) = (parts.model, parts.pruner, parts.phases);
        (self.optimizer, self.average, self.removed) = (parts.optimizer, parts.average, None);
        self.feed.vary(&self.gpu, &recipe.augment, &self.model.input, cols)?;
        (self.recipe, self.stage, self.before) = (recipe, stage, before);
        (self.step, self.updates, self.best, self.patience) = (0, 0, None, Patience::default());
        refusals::of_later(self)?;
        self.freeze(0);
        self.record()?;
        self.begin_averages()?;
        self.enter()
    }
}

/// Pruned weights are 0, also where something is left behind the mask.
fn clear_pruned(values: &mut [f32], mask: &[u32]) {
    let pruned = |i: usize| mask[i / 32] >> (i % 32) & 1 == 0;
    values.iter_mut().enumerate().filter(|(i, _)| pruned(*i)).for_each(|(_, value)| *value = 0.0);
}

/// Builds the stages after the first on a device that only counts: what is wrong with them is said before the first step.
///
/// # Errors
/// As those of [`Session::new`].
pub(super) fn check(first: &Session, data: &Dataset, zeros: bool) -> Result<()> {
    if first.whole.stages.is_empty() {
        return Ok(());
    }
    refusals::of_stages(&first.whole, zeros)?;
    for number in 1..first.whole.stage_count() {
        let counted = Gpu::counted_with(first.gpu.limits());
        Session::of_stage(&counted, &first.whole, data, first.choices.clone(), number)
            .map_err(|error| error.at(format!("stage {} of {}", number + 1, first.whole.stage_count())))?;
    }
    Ok(())
}
