//! A run in memory: model, optimizer, pruning and data on a device, and the plans that make a step.

use super::event::{Log, TrainFlops};
use super::exam::Exam;
use super::feed::{Feed, Span};
use super::flips::Masks;
use super::initial::Initial;
use super::outline::{columns, extent, fitted, length, model};
use super::passes::Passes;
use super::patience::Patience;
use super::plans::{Plans, Recorded};
use super::refusals;
use super::remove::Removed;
use super::shrinking::Shrinking;
use super::stage::{self, Parts};
use super::unfreeze::Phases;
use super::watch::Times;
use crate::data::Dataset;
use crate::distill;
use crate::error::{Error, Kind, Result};
use crate::gpu::{Cost, Dtype, Gpu, Plan, Tensor, Timing, Uniform};
use crate::nn::{Carried, Model, presets};
use crate::ops::Step;
use crate::ops::tally::Totals;
use crate::ops::variants::Choices;
use crate::optim::{self, Average, Optimizer};
use crate::recipe::Recipe;
use crate::sparsity::{Change, Length, Pruner, methods};

/// Everything that a run holds. Its state after `n` steps is a function of the recipe, the data and the device.
pub struct Session {
    /// That of the run, with all its stages.
    pub whole: Recipe,
    /// That of the stage that the next step belongs to.
    pub recipe: Recipe,
    /// Its number, counted from 0.
    pub(super) stage: usize,
    /// Steps that the stages before it had.
    pub(super) before: u64,
    /// The operations of each of them; bookkeeping.
    pub(super) flops: Vec<TrainFlops>,
    pub gpu: Gpu,
    pub choices: Choices,
    pub model: Model,
    pub optimizer: Optimizer,
    /// Averages of the weights, by which the network is judged.
    pub(super) average: Option<Average>,
    pub pruner: Option<Pruner>,
    pub distill: Option<Box<dyn distill::Method>>,
    pub length: Length,
    /// Which layers train when.
    pub phases: Phases,
    /// The phase that is recorded, if that is known.
    pub(super) phase: Option<usize>,
    /// Steps done, of this stage: see [`Session::steps_done`].
    pub step: u64,
    /// Accuracy and loss of the best validation so far, of this stage.
    pub best: Option<(f64, f64)>,
    /// What evaluations have shown, of this stage.
    pub patience: Patience,
    pub totals: Tensor,
    /// What the steps of all sessions took; bookkeeping.
    pub(super) times: Times,
    /// What was last logged; bookkeeping.
    pub(super) last: Option<Log>,
    /// The masks as a journal last recorded them, if one is kept.
    pub recorded: Option<Masks>,
    /// Updates that the optimizer has made: less than `step` where it rests or training has started over.
    pub(super) updates: u64,
    pub(super) step_uniform: Uniform,
    /// What the network has lost, once pruned filters are removed.
    pub(super) removed: Option<Removed>,
    pub(super) feed: Feed,
    pub(super) validation: Option<Exam>,
    pub(super) test: Exam,
    /// The tensors of one batch.
    pub(super) columns: Columns,
    pub(super) passes: Passes,
    /// What layers carry from one training batch to the next, once passes are laid out.
    pub(super) carried: Option<Carried>,
    pub(super) plans: Plans,
    /// Where smaller networks are trained, too.
    pub(super) shrinking: Option<Shrinking>,
}

/// Fills in every default of a recipe and refuses what its registries do not know.
///
/// # Errors
/// `Kind::Usage`, with the nearest known name or key.
pub fn resolve(recipe: &Recipe) -> Result<Recipe> {
    let mut resolved = recipe.clone();
    resolved.data.settings = crate::data::complete(&recipe.data.name, &recipe.data.settings)?;
    resolved.model = presets::complete(&recipe.model)?;
    resolved.distill = distill::complete(&recipe.distill)?;
    resolved.optim.settings = optim::resolve(&recipe.optim)?.1;
    resolved.sparsity = methods::complete(&recipe.sparsity)?;
    for stage in &mut resolved.stages {
        if let Some(optim) = &mut stage.optim {
            optim.settings = optim::resolve(optim)?.1;
        }
        if let Some(sparsity) = &mut stage.sparsity {
            *sparsity = methods::complete(sparsity)?;
        }
    }
    Ok(resolved)
}

/// As [`resolve`], with what a recipe leaves to its data.
pub(super) fn resolve_for(recipe: &Recipe, data: &Dataset) -> Result<Recipe> {
    resolve(recipe).map(|resolved| fitted(&resolved, data))
}

impl Session {
    /// Builds a run at step 0, in its first stage. `choices` are the kernel variants to use; what they lack has fixed defaults.
    ///
    /// # Errors
    /// `Kind::Usage` for a recipe that cannot be honoured, `Kind::Memory` where the device has no room.
    pub fn new(gpu: &Gpu, recipe: &Recipe, data: &Dataset, choices: Choices) -> Result<Self> {
        Self::starting_from(gpu, recipe, data, choices, None)
    }

    /// As [`Session::new`], with weights of a file in place of random ones, if there are any.
    ///
    /// # Errors
    /// As those of [`Session::new`]; `Kind::Checkpoint` where weights and model do not fit.
    pub fn starting_from(
        gpu: &Gpu,
        recipe: &Recipe,
        data: &Dataset,
        choices: Choices,
        initial: Option<&Initial>,
    ) -> Result<Self> {
        let whole = resolve_for(recipe, data)?;
        let recipe = whole.stage(0);
        if data.train.is_empty() || data.test.is_empty() {
            return Err(Error::data(format!("data set `{}` has nothing to train or to test on", data.name)));
        }
        let batch = recipe.run.batch as usize;
        // Those without a sample stay empty.
        let cols = columns(&recipe, data);
        let mut feed = Feed::new(gpu, data, &data.train, batch)?;
        feed.vary(gpu, &recipe.augment, &extent(data), cols)?;
        let length = length(&recipe, data);
        initial.map_or(Ok(()), |_| refusals::of_initial(&recipe))?;
        let model = model(&recipe, data, initial)?;
        refusals::of_model(&recipe, &model, data)?;
        let Parts { model, pruner, phases, optimizer, average } =
            Parts::new(gpu, &recipe, model, (length, cols), &choices)?;
        let context = distill::Context { classes: data.classes, cols, labels: &data.train.labels };
        let distill = distill::new(gpu, &recipe.distill, &context)?;
        let held_out = Some(&data.validation).filter(|split| !split.is_empty());
        let validation = held_out.map(|split| Exam::new(gpu, data, split, batch.min(cols))).transpose()?;
        let mut session = Self {
            step_uniform: gpu.uniform("step", &Step::default())?,
            totals: Totals::tensor(gpu)?,
            test: Exam::new(gpu, data, &data.test, batch.min(cols))?,
            validation,
            columns: Columns::new(gpu, cols, data.labels())?,
            passes: Passes::none(),
            carried: None,
            plans: Plans::none(gpu)?,
            gpu: gpu.clone(),
            whole,
            recipe,
            stage: 0,
            before: 0,
            flops: Vec::new(),
            choices,
            model,
            optimizer,
            average,
            pruner,
            distill,
            length,
            phases,
            phase: None,
            step: 0,
            updates: 0,
            best: None,
            patience: Patience::default(),
            times: Times::default(),
            last: None,
            recorded: None,
            removed: None,
            feed,
            shrinking: None,
        };
        session.freeze(0);
        session.shrinking = Shrinking::new(&mut session)?;
        session.record()?;
        session.begin_averages()?;
        session.enter()?;
        stage::check(&session, data, initial.is_some_and(|own| own.has_zeros(&session.model.params)))?;
        Ok(session)
    }

    /// Epochs done, of all stages.
    pub fn epoch(&self) -> f64 {
        self.steps_done() as f64 / self.length.steps_per_epoch as f64
    }
    /// The sparsity that is due after the steps done so far.
    pub fn sparsity(&self) -> f64 {
        let Some(pruner) = &self.pruner else { return 0.0 };
        (0..self.step).rev().find_map(|step| pruner.due(step)).unwrap_or(pruner.start_sparsity())
    }

    /// Prepares the device for the step that `self.step` names: the order of its epoch.
    pub(super) fn enter(&self) -> Result<()> {
        let is_over = self.step >= self.length.steps;
        if is_over { Ok(()) } else { self.feed.shuffle(self.recipe.run.seed, self.epoch_of(self.step)) }
    }

    /// One step of training, mask update included if one is due. Returns what the masks did.
    ///
    /// # Errors
    /// `Kind::Device`, or `Kind::Numbers` if a mask update meets a weight that is not a number.
    pub fn advance(&mut self) -> Result<Option<Change>> {
        self.remove_pruned()?;
        if self.shrinks_at(self.step) {
            self.shrink_step(&mut Plan::replay)?;
            return Ok(None);
        }
        self.enter_phase()?;
        self.reset()?;
        self.write_step()?;
        self.take(&mut Recorded::replay)
    }

    /// As [`Session::advance`], timing every dispatch. The results are the same.
    pub fn advance_timed(&mut self) -> Result<(Option<Change>, Vec<Timing>)> {
        self.remove_pruned()?;
        if self.shrinks_at(self.step) {
            let mut times = Vec::new();
            self.shrink_step(&mut |plan| {
                times.extend(plan.profile(&plan.profiler()?)?);
                Ok(())
            })?;
            return Ok((None, times));
        }
        self.enter_phase()?;
        self.reset()?;
        self.write_step()?;
        let mut times = Vec::new();
        let change = self.take(&mut |recorded| {
            times.extend(recorded.plan.profile(&recorded.profiler)?);
            Ok(())
        })?;
        Ok((change, times))
    }

    /// The parts of a step whose numbers are written, and its mask update between them.
    fn take(&mut self, replay: &mut dyn FnMut(&Recorded) -> Result<()>) -> Result<Option<Change>> {
        let (step, moves) = (self.step, !self.rests());
        self.go_through(self.opening(), step, moves, replay)?;
        let change = self.update_masks()?;
        if !self.rests() {
            self.go_through(&self.plans.after, step, moves, replay)?;
        }
        self.next()?;
        Ok(change)
    }

    pub(super) fn next(&mut self) -> Result<()> {
        self.updates += u64::from(!self.rests());
        self.step += 1;
        self.reach()?;
        if self.step.is_multiple_of(self.length.steps_per_epoch) { self.enter() } else { Ok(()) }
    }
    pub(super) fn write_step(&self) -> Result<()> {
        self.open(self.step)?;
        self.average.as_ref().map_or(Ok(()), |average| average.open(self.updates + 1))?;
        self.write_batch(self.step, 0)
    }
    /// Writes the numbers of a step that masks and soft targets need.
    pub(super) fn open(&self, step: u64) -> Result<()> {
        self.pruner.as_ref().map_or(Ok(()), |pruner| pruner.open(step))?;
        let Some(distill) = &self.distill else { return Ok(()) };
        let (own, course) = self.clock(step);
        let per_epoch = course.steps_per_epoch;
        distill.begin(own / per_epoch, course.steps.div_ceil(per_epoch))
    }
    /// Sample numbers of the batches of step `step` of this stage, within the training part.
    pub fn samples_of(&self, step: u64) -> Result<Vec<u32>> {
        let order = self.feed.order(self.recipe.run.seed, self.epoch_of(step))?;
        let spans = self.batches_of(step).map(|batch| self.feed.span(batch));
        Ok(spans.flat_map(|Span { first, live, .. }| order[first..first + live].to_vec()).collect())
    }

    /// What the device has counted since the last call, and clears it. Waits for the device.
    ///
    /// # Errors
    /// `Kind::Numbers` if a loss was not finite. No weight has changed since.
    pub fn take_totals(&self) -> Result<Totals> {
        let totals = Totals::from_words(&self.totals.read_u32()?);
        if let Some(step) = totals.broken {
            let weights = self.not_finite()?.map(|found| format!("; not finite among them: {found}"));
            return Err(Error::new(Kind::Numbers, "the loss is not finite")
                .at(format!(
                    "step {step}, learning rate {}",
                    self.rate_at((step as u64).saturating_sub(self.before))
                ))
                .at(format!("the weights are those before that step{}", weights.unwrap_or_default()))
                .hint("a lower learning rate, or a warm-up: optim.lr.warmup = \"1ep\""));
        }
        self.totals.write(&[0u32; Totals::WORDS])?;
        Ok(totals)
    }

    /// What a step replays, in order and as often as it does, mask updates apart.
    pub fn plans(&self) -> Vec<&Plan> {
        self.plans_of(&self.plans.before).chain(self.plans_of(&self.plans.after)).collect()
    }
    /// What a step comes to.
    pub fn step_cost(&self) -> Cost {
        self.plans().iter().fold(Cost::default(), |sum, plan| sum + plan.cost())
    }
    /// Whether the products of a parameter read activations as bf16.
    pub fn reads_narrow(&self, param: &str) -> bool {
        self.model.reads_narrow(self.passes.step(), param)
    }
    /// Columns of a batch.
    pub fn columns(&self) -> usize {
        self.columns.batch
    }
    /// Samples in each part: training, validation, test.
    pub fn samples(&self) -> [usize; 3] {
        [
            self.feed.samples,
            self.validation.as_ref().map_or(0, |exam| exam.feed.samples),
            self.test.feed.samples,
        ]
    }
}

/// Tensors of a batch, per answer.
pub(super) struct Columns {
    /// Samples of a batch, with those that are missing; the tensors have a column for each label of each.
    pub(super) batch: usize,
    pub(super) label: Tensor,
    pub(super) loss: Tensor,
    pub(super) hit: Tensor,
    /// Hits of outputs that are not judged.
    pub(super) other_hit: Tensor,
}

impl Columns {
    fn new(gpu: &Gpu, batch: usize, labels: usize) -> Result<Self> {
        let cols = batch * labels;
        Ok(Self {
            batch,
            label: gpu.tensor("label", Dtype::U32, &[cols])?,
            loss: gpu.tensor("loss", Dtype::F32, &[cols])?,
            hit: gpu.tensor("hit", Dtype::U32, &[cols])?,
            other_hit: gpu.tensor("other hit", Dtype::U32, &[cols])?,
        })
    }
}
