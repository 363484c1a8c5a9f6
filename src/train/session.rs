//! A run in memory: model, optimizer, pruning and data on a device, and the plans that make a step.

use super::event::Part;
use super::feed::Feed;
use crate::data::{Dataset, Split};
use crate::error::{Error, Kind, Result};
use crate::gpu::{Dtype, Gpu, Phase, Plan, Profiler, Recorder, Tensor, Timing, Uniform};
use crate::nn::{Activations, Model};
use crate::ops::cross_entropy::{self, Target};
use crate::ops::tally::{self, Totals};
use crate::ops::variants::Choices;
use crate::ops::{Step, batch};
use crate::optim::{self, Optimizer};
use crate::param::Flow;
use crate::recipe::Recipe;
use crate::sparsity::{self, Change, Length, Pruner, Stage, methods};

/// Everything that a run holds. Its state after `n` steps is a function of the recipe, the data and the device.
pub struct Session {
    pub recipe: Recipe,
    pub gpu: Gpu,
    pub choices: Choices,
    pub model: Model,
    pub optimizer: Optimizer,
    pub pruner: Option<Pruner>,
    pub length: Length,
    /// Steps done.
    pub step: u64,
    /// Accuracy and loss of the best validation so far.
    pub best: Option<(f64, f64)>,
    pub totals: Tensor,
    step_uniform: Uniform,
    feed: Feed,
    validation: Option<Exam>,
    test: Exam,
    /// What comes before and after the mask update within a step.
    before: Segment,
    after: Segment,
}

/// A recorded part of a step.
struct Segment {
    plan: Plan,
    profiler: Profiler,
}

/// Evaluation of one part of the data.
struct Exam {
    feed: Feed,
    plan: Plan,
    totals: Tensor,
}

/// Fills in every default of a recipe and refuses what its registries do not know.
///
/// # Errors
/// `Kind::Usage`, with the nearest known name or key.
pub fn resolve(recipe: &Recipe) -> Result<Recipe> {
    let mut resolved = recipe.clone();
    resolved.optim.settings = optim::resolve(&recipe.optim)?.1;
    resolved.sparsity.settings = methods::settings(&recipe.sparsity)?;
    Ok(resolved)
}

impl Session {
    /// Builds a run at step 0. `choices` are the kernel variants to use; what they lack has fixed defaults.
    ///
    /// # Errors
    /// `Kind::Usage` for a recipe that cannot be honoured, `Kind::Memory` where the device has no room.
    pub fn new(gpu: &Gpu, recipe: &Recipe, data: &Dataset, choices: Choices) -> Result<Self> {
        let recipe = resolve(recipe)?;
        if data.train.is_empty() || data.test.is_empty() {
            return Err(Error::data(format!("data set `{}` has nothing to train or to test on", data.name)));
        }
        let batch = recipe.run.batch as usize;
        // Columns are whole vec4s; those without a sample stay empty.
        let cols = batch.min(data.train.len()).next_multiple_of(4);
        let feed = Feed::new(gpu, data, &data.train, batch)?;
        let per_epoch = feed.batches() as u64;
        let length = Length { steps: per_epoch * recipe.run.epochs as u64, steps_per_epoch: per_epoch };
        if length.steps > u32::MAX as u64 / 2 {
            return Err(Error::usage(format!("{} steps are too many: at most 2^31", length.steps)));
        }

        let mut model = Model::new(gpu, &recipe.model, data.features(), data.classes, recipe.run.seed)?;
        let mut params = model.params_mut();
        let prepared = sparsity::prepare(gpu, &recipe.sparsity, length, &mut params)?;
        // Latent weights start as what the forward pass sees.
        for param in params.iter().filter(|param| param.flow == Flow::Latent) {
            let values = param.read()?;
            param.write(&values)?;
        }
        let optimizer = Optimizer::new(gpu, &recipe.optim, &model.params())?;
        let order = prepared.as_ref().map_or(methods::ALL[0].order, |p| p.entry.order);
        let pruner = prepared
            .map(|p| p.record(gpu, &model.params(), |param| optimizer.slots_of(param).to_vec()))
            .transpose()?;

        let step_uniform = gpu.uniform("step", &Step::default())?;
        let totals = Totals::tensor(gpu)?;
        let recorder = StepRecorder {
            model: &model,
            optimizer: &optimizer,
            choices: &choices,
            step: &step_uniform,
            totals: &totals,
            activations: model.activations(gpu, cols)?,
            columns: Columns::new(gpu, cols)?,
            feed: &feed,
        };
        let split = order.iter().position(|stage| *stage == Stage::Masks);
        let (first, second) = order.split_at(split.unwrap_or(order.len()));
        let before = recorder.segment(gpu, first)?;
        let after = recorder.segment(gpu, second)?;
        let exam = |split: &Split| recorder.exam(gpu, data, split, batch);
        let test = exam(&data.test)?;
        let validation = if data.validation.is_empty() { None } else { Some(exam(&data.validation)?) };
        let gpu = gpu.clone();
        let session = Self {
            recipe,
            gpu,
            choices,
            model,
            optimizer,
            pruner,
            length,
            step: 0,
            best: None,
            totals,
            step_uniform,
            feed,
            validation,
            test,
            before,
            after,
        };
        session.enter()?;
        Ok(session)
    }

    /// The shapes of the dense products of this recipe, for measuring variants before building it.
    pub fn products(gpu: &Gpu, recipe: &Recipe, data: &Dataset) -> Result<Vec<crate::ops::variants::Shape>> {
        let counted = Gpu::counted_with(gpu.limits());
        let model = Model::new(&counted, &recipe.model, data.features(), data.classes, recipe.run.seed)?;
        let cols = (recipe.run.batch as usize).min(data.train.len()).next_multiple_of(4);
        Ok(model.products(cols))
    }

    pub fn is_done(&self) -> bool {
        self.step >= self.length.steps
    }
    pub fn epoch(&self) -> f64 {
        self.step as f64 / self.length.steps_per_epoch as f64
    }
    /// The learning rate of the next step.
    pub fn learning_rate(&self) -> f64 {
        let step = self.step.min(self.length.steps.saturating_sub(1));
        self.recipe.optim.lr.at(step, self.length.steps, self.length.steps_per_epoch)
    }

    /// The sparsity that is due after the steps done so far.
    pub fn sparsity(&self) -> f64 {
        let Some(pruner) = &self.pruner else { return 0.0 };
        (0..self.step).rev().find_map(|step| pruner.due(step)).unwrap_or(self.recipe.sparsity.initial())
    }

    /// Prepares the device for the step that `self.step` names: the order of its epoch.
    pub(super) fn enter(&self) -> Result<()> {
        let epoch = self.step / self.length.steps_per_epoch;
        if self.is_done() { Ok(()) } else { self.feed.shuffle(self.recipe.run.seed, epoch) }
    }

    /// One step of training, mask update included if one is due. Returns what the masks did.
    ///
    /// # Errors
    /// `Kind::Device`, or `Kind::Numbers` if a mask update meets a weight that is not a number.
    pub fn advance(&mut self) -> Result<Option<Change>> {
        self.write_step()?;
        self.before.plan.replay()?;
        let change = self.masks()?;
        self.after.plan.replay()?;
        self.next()?;
        Ok(change)
    }

    /// As [`Session::advance`], timing every dispatch. The results are the same.
    pub fn advance_timed(&mut self) -> Result<(Option<Change>, Vec<Timing>)> {
        self.write_step()?;
        let mut times = self.before.plan.profile(&self.before.profiler)?;
        let change = self.masks()?;
        times.extend(self.after.plan.profile(&self.after.profiler)?);
        self.next()?;
        Ok((change, times))
    }

    fn masks(&self) -> Result<Option<Change>> {
        self.pruner.as_ref().map_or(Ok(None), |pruner| pruner.update(self.step))
    }
    fn next(&mut self) -> Result<()> {
        self.step += 1;
        if self.step.is_multiple_of(self.length.steps_per_epoch) { self.enter() } else { Ok(()) }
    }
    fn write_step(&self) -> Result<()> {
        let (first, live) = self.feed.range((self.step % self.length.steps_per_epoch) as usize);
        let (correction1, correction2) = self.optimizer.corrections(self.step + 1);
        self.step_uniform.write(&Step {
            step: self.step as u32,
            first: first as u32,
            live: live as u32,
            rate: self.learning_rate() as f32,
            correction1,
            correction2,
        })
    }

    /// Sample numbers of the batch of step `step`, within the training part.
    pub fn samples_of(&self, step: u64) -> Result<Vec<u32>> {
        let order = self.feed.order(self.recipe.run.seed, step / self.length.steps_per_epoch)?;
        let (first, live) = self.feed.range((step % self.length.steps_per_epoch) as usize);
        Ok(order[first..first + live].to_vec())
    }

    /// What the device has counted since the last call, and clears it. Waits for the device.
    ///
    /// # Errors
    /// `Kind::Numbers` if a loss was not finite. No weight has changed since.
    pub fn take_totals(&self) -> Result<Totals> {
        let totals = Totals::from_words(&self.totals.read_u32()?);
        if let Some(step) = totals.broken {
            return Err(Error::new(Kind::Numbers, "the loss is not finite")
                .at(format!(
                    "step {step}, learning rate {}",
                    self.recipe.optim.lr.at(step as u64, self.length.steps, self.length.steps_per_epoch)
                ))
                .at("the weights are those before that step")
                .hint("a lower learning rate, or a warm-up: optim.lr.warmup = \"1ep\""));
        }
        self.totals.write(&[0u32; Totals::WORDS])?;
        Ok(totals)
    }

    /// Loss and accuracy on a part of the data; `None` where that part is empty.
    pub fn evaluate(&self, part: Part) -> Result<Option<Totals>> {
        let exam = match part {
            Part::Test => &self.test,
            Part::Validation => match &self.validation {
                Some(exam) => exam,
                None => return Ok(None),
            },
        };
        exam.totals.write(&[0u32; Totals::WORDS])?;
        for batch in 0..exam.feed.batches() {
            let (first, live) = exam.feed.range(batch);
            self.step_uniform.write(&Step {
                first: first as u32,
                live: live as u32,
                ..Default::default()
            })?;
            exam.plan.replay()?;
        }
        Ok(Some(Totals::from_words(&exam.totals.read_u32()?)))
    }

    /// The step's dispatches, in order, mask updates apart.
    pub fn plans(&self) -> [&Plan; 2] {
        [&self.before.plan, &self.after.plan]
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

/// Per-column tensors of a batch.
struct Columns {
    label: Tensor,
    loss: Tensor,
    hit: Tensor,
}

impl Columns {
    fn new(gpu: &Gpu, cols: usize) -> Result<Self> {
        Ok(Self {
            label: gpu.tensor("label", Dtype::U32, &[cols])?,
            loss: gpu.tensor("loss", Dtype::F32, &[cols])?,
            hit: gpu.tensor("hit", Dtype::U32, &[cols])?,
        })
    }
}

struct StepRecorder<'a> {
    model: &'a Model,
    optimizer: &'a Optimizer,
    choices: &'a Choices,
    step: &'a Uniform,
    totals: &'a Tensor,
    activations: Activations,
    columns: Columns,
    feed: &'a Feed,
}

impl StepRecorder<'_> {
    fn segment(&self, gpu: &Gpu, stages: &[Stage]) -> Result<Segment> {
        let mut rec = Recorder::new(gpu);
        for stage in stages {
            match stage {
                Stage::Masks => {}
                Stage::Forward => self.forward(&mut rec, self.feed)?,
                Stage::Backward => self.backward(&mut rec)?,
                Stage::Update => {
                    self.optimizer.record(&mut rec, &self.model.params(), self.step, self.totals)?;
                    sparsity::record_effective(&mut rec, &self.model.params())?;
                }
            }
        }
        let plan = rec.finish()?;
        let profiler = plan.profiler()?;
        Ok(Segment { plan, profiler })
    }

    fn forward(&self, rec: &mut Recorder, feed: &Feed) -> Result<()> {
        rec.phase(Phase::Batch);
        rec.scope("data");
        batch::record(rec, &feed.set, self.step, &self.activations.values[0], &self.columns.label)?;
        self.model.forward(rec, self.choices, &self.activations)
    }

    fn backward(&self, rec: &mut Recorder) -> Result<()> {
        let (a, c) = (&self.activations, &self.columns);
        rec.phase(Phase::Loss);
        rec.scope("loss");
        let d_logits = rec.gpu.tensor("d_logits", Dtype::F32, &a.logits().shape)?;
        let target = Target::Hard { label: &c.label, smoothing: 0.0 };
        cross_entropy::record(rec, self.step, a.logits(), target, &d_logits, &c.loss, &c.hit)?;
        tally::record(rec, self.step, &c.loss, &c.hit, self.totals)?;
        self.model.backward(rec, self.choices, a, &d_logits)
    }

    fn exam(&self, gpu: &Gpu, data: &Dataset, split: &Split, batch: usize) -> Result<Exam> {
        let feed = Feed::new(gpu, data, split, batch.min(self.columns.label.len()))?;
        let totals = Totals::tensor(gpu)?;
        let mut rec = Recorder::new(gpu);
        self.forward(&mut rec, &feed)?;
        rec.phase(Phase::Loss);
        let c = &self.columns;
        cross_entropy::record_judgement(
            &mut rec,
            self.step,
            self.activations.logits(),
            &c.label,
            &c.loss,
            &c.hit,
        )?;
        tally::record(&mut rec, self.step, &c.loss, &c.hit, &totals)?;
        Ok(Exam { feed, plan: rec.finish()?, totals })
    }
}
