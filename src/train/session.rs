//! A run in memory: model, optimizer, pruning and data on a device, and the plans that make a step.

use std::ops::Range;

use super::event::Part;
use super::feed::Feed;
use crate::data::{Dataset, Split};
use crate::error::{Error, Kind, Result};
use crate::gpu::{Dtype, Gpu, Phase, Plan, Profiler, Recorder, Tensor, Timing, Uniform};
use crate::nn::{Activations, Gradients, Model};
use crate::ops::cross_entropy::{self, Target};
use crate::ops::packed::{Form, Pattern};
use crate::ops::tally::{self, Totals};
use crate::ops::variants::{Choices, Shape};
use crate::ops::{Step, batch};
use crate::optim::{self, Optimizer};
use crate::param::{kept, places};
use crate::recipe::{Precision, Recipe, Storage};
use crate::sparsity::{self, Change, Length, Pruner, Setting, Stage, methods};

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
    /// Updates that the optimizer has made: less than `step` where it rests or training has started over.
    pub(super) updates: u64,
    /// By parameter, the values of the step that the method rewinds to, once it has passed; none if that is step 0.
    pub(super) early: Vec<Vec<f32>>,
    step_uniform: Uniform,
    feed: Feed,
    validation: Option<Exam>,
    test: Exam,
    frame: Frame,
    plans: Plans,
}

/// Everything that is recorded, again where the storage of a parameter changes.
struct Plans {
    /// What comes before and after the mask update within a step.
    before: Segment,
    after: Segment,
    validation: Option<Plan>,
    test: Plan,
}

/// The tensors of one batch.
struct Frame {
    activations: Activations,
    gradients: Gradients,
    columns: Columns,
}

/// A recorded part of a step.
struct Segment {
    plan: Plan,
    profiler: Profiler,
}

/// Evaluation of one part of the data.
struct Exam {
    feed: Feed,
    totals: Tensor,
}

/// A weight that may be packed.
pub struct Prospect {
    pub shape: Shape,
    pub form: Form,
    /// Whether its input gradient is asked for.
    pub feeds_back: bool,
    /// At the end of the run.
    pub density: f64,
    /// Whether packed or dense is to be chosen by measurement.
    pub choose: bool,
    /// Whether packed products read bf16.
    pub narrow: bool,
}

/// Columns of a batch: whole vec4s, or as many as bf16 copies are made of at once.
fn columns(recipe: &Recipe, data: &Dataset) -> usize {
    let together = if is_narrow(recipe) { 8 } else { 4 };
    (recipe.run.batch as usize).min(data.train.len()).next_multiple_of(together)
}

fn is_narrow(recipe: &Recipe) -> bool {
    recipe.run.activations == Precision::Bf16
}

/// Fills in every default of a recipe and refuses what its registries do not know.
///
/// # Errors
/// `Kind::Usage`, with the nearest known name or key.
pub fn resolve(recipe: &Recipe) -> Result<Recipe> {
    let mut resolved = recipe.clone();
    resolved.optim.settings = optim::resolve(&recipe.optim)?.1;
    resolved.sparsity = methods::complete(&recipe.sparsity)?;
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
        // Those without a sample stay empty.
        let cols = columns(&recipe, data);
        let feed = Feed::new(gpu, data, &data.train, batch)?;
        let per_epoch = feed.batches() as u64;
        let length = Length { steps: per_epoch * recipe.run.epochs as u64, steps_per_epoch: per_epoch };
        if length.steps > u32::MAX as u64 / 2 {
            return Err(Error::usage(format!("{} steps are too many: at most 2^31", length.steps)));
        }

        let mut model = Model::new(&recipe.model, data.features(), data.classes, recipe.run.seed)?;
        let narrow = is_narrow(&recipe);
        let setting = Setting { seed: recipe.run.seed, length, choices: &choices, cols, narrow };
        let pruner = sparsity::prepare(gpu, &recipe.sparsity, &setting, &mut model.params_mut())?;
        let optimizer = Optimizer::new(gpu, &recipe.optim, &model.params())?;
        let grows = pruner.as_ref().is_some_and(|pruner| pruner.grows());
        let frame = Frame {
            activations: model.activations(gpu, cols, narrow)?,
            // Those of bf16 runs have copies of their own: they do not take turns.
            gradients: model.gradients(gpu, cols, narrow || grows, narrow)?,
            columns: Columns::new(gpu, cols)?,
        };
        let exam = |split: &Split| -> Result<Exam> {
            Ok(Exam { feed: Feed::new(gpu, data, split, batch.min(cols))?, totals: Totals::tensor(gpu)? })
        };
        let mut session = Self {
            step_uniform: gpu.uniform("step", &Step::default())?,
            totals: Totals::tensor(gpu)?,
            test: exam(&data.test)?,
            validation: if data.validation.is_empty() { None } else { Some(exam(&data.validation)?) },
            plans: Plans::none(gpu)?,
            gpu: gpu.clone(),
            recipe,
            choices,
            model,
            optimizer,
            pruner,
            length,
            step: 0,
            updates: 0,
            early: Vec::new(),
            best: None,
            feed,
            frame,
        };
        session.record()?;
        session.enter()?;
        Ok(session)
    }

    /// Records everything anew, for the storage that parameters have now.
    pub(super) fn record(&mut self) -> Result<()> {
        self.plans = Plans::none(&self.gpu)?; // its memory first
        if let Some(pruner) = &mut self.pruner {
            let (model, frame, choices, optimizer) =
                (&self.model, &self.frame, &self.choices, &self.optimizer);
            let grads = |rec: &mut Recorder, param: usize, rows: Range<usize>, to: &Tensor| {
                model.dense_grad(rec, choices, &frame.activations, &frame.gradients, param, rows, to)
            };
            pruner.record(&self.gpu, &model.params(), &|param| optimizer.slots_of(param).to_vec(), &grads)?;
        }
        let order = self.pruner.as_ref().map_or(methods::ALL[0].order, |pruner| pruner.entry.order);
        let split = order.iter().position(|stage| *stage == Stage::Masks);
        let (first, second) = order.split_at(split.unwrap_or(order.len()));
        self.plans = Plans {
            before: self.segment(first)?,
            after: self.segment(second)?,
            validation: self.validation.as_ref().map(|exam| self.record_exam(exam)).transpose()?,
            test: self.record_exam(&self.test)?,
        };
        Ok(())
    }

    /// The shapes of the dense products of this recipe, for measuring variants before building it.
    pub fn products(gpu: &Gpu, recipe: &Recipe, data: &Dataset) -> Result<Vec<Shape>> {
        let mut model = Model::new(&recipe.model, data.features(), data.classes, recipe.run.seed)?;
        // Where a weight is cut into blocks is known once it has memory.
        let counted = Gpu::counted_with(gpu.limits());
        model.params_mut().into_iter().try_for_each(|param| param.allocate(&counted))?;
        Ok(model.products(columns(recipe, data)))
    }

    /// The weights of this recipe that may be packed, for measuring kernels before building it.
    pub fn prospects(recipe: &Recipe, data: &Dataset) -> Result<Vec<Prospect>> {
        let model = Model::new(&recipe.model, data.features(), data.classes, recipe.run.seed)?;
        let (params, cols) = (model.params(), columns(recipe, data));
        if recipe.sparsity.storage == Storage::Masked || recipe.sparsity.latent {
            return Ok(Vec::new());
        }
        let sparsity = methods::complete(&recipe.sparsity)?;
        let prospect = |(index, form, density): (usize, Form, f64)| {
            let (shape, feeds_back) = (&params[index].shape, params[index].feeds_back);
            let shape = Shape::new(shape[0], shape[1..].iter().product(), cols);
            let (choose, narrow) = (sparsity.storage == Storage::Auto, is_narrow(recipe));
            Prospect { shape, form, feeds_back, density, choose, narrow }
        };
        Ok(sparsity::outline(&sparsity, &params)?.into_iter().map(prospect).collect())
    }

    pub fn is_done(&self) -> bool {
        self.step >= self.length.steps
    }
    pub fn epoch(&self) -> f64 {
        self.step as f64 / self.length.steps_per_epoch as f64
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
        self.plans.before.plan.replay()?;
        let change = self.masks()?;
        if !self.rests() {
            self.plans.after.plan.replay()?;
        }
        self.next()?;
        Ok(change)
    }

    /// As [`Session::advance`], timing every dispatch. The results are the same.
    pub fn advance_timed(&mut self) -> Result<(Option<Change>, Vec<Timing>)> {
        self.write_step()?;
        let before = &self.plans.before;
        let mut times = before.plan.profile(&before.profiler)?;
        let change = self.masks()?;
        if !self.rests() {
            let after = &self.plans.after;
            times.extend(after.plan.profile(&after.profiler)?);
        }
        self.next()?;
        Ok((change, times))
    }

    /// Updates the masks if that is due, and gives parameters that are to be packed from now on their new storage.
    fn masks(&mut self) -> Result<Option<Change>> {
        let Some(pruner) = &self.pruner else { return Ok(None) };
        let Some((mut change, patterns)) = pruner.update(self.step, &self.model.params())? else {
            return Ok(None);
        };
        let mut laid_out = Vec::new();
        for (index, param) in self.model.params().into_iter().enumerate() {
            let pattern = match patterns.iter().find(|(changed, _)| *changed == index) {
                Some((_, pattern)) => pattern.clone(),
                None if param.packed.is_some() || !pruner.may_pack(index) => continue,
                None => {
                    let (mask, inner) = (param.read_mask()?, param.shape[1..].iter().product());
                    if !pruner.packs(index, kept(&mask), param.len()) {
                        continue;
                    }
                    Pattern::from_places(param.form, param.shape[0], inner, &places(&mask))
                }
            };
            laid_out.push((index, pattern));
        }
        // What is recorded holds on to the memory of before: it goes first, where there will be other.
        let entries =
            |index: usize| self.model.params()[index].packed.as_ref().map(|p| p.index.pattern.entries());
        let renewed = laid_out.iter().any(|(index, pattern)| entries(*index) != Some(pattern.entries()));
        if renewed {
            self.plans = Plans::none(&self.gpu)?;
            self.pruner.iter_mut().for_each(Pruner::forget);
        }
        for (index, pattern) in laid_out {
            let param = self.model.params_mut().swap_remove(index);
            param.repack(&self.gpu, pattern, self.optimizer.slots_mut(index))?;
            change
                .layers
                .iter_mut()
                .filter(|l| l.name == param.name)
                .for_each(|l| l.storage = param.storage());
        }
        if renewed {
            self.record()?;
        }
        self.rewind()?;
        Ok(Some(change))
    }
    /// Whether the optimizer rests in this step.
    fn rests(&self) -> bool {
        self.pruner.as_ref().is_some_and(|pruner| pruner.rests(self.step))
    }
    fn next(&mut self) -> Result<()> {
        self.updates += u64::from(!self.rests());
        self.step += 1;
        self.reach()?;
        if self.step.is_multiple_of(self.length.steps_per_epoch) { self.enter() } else { Ok(()) }
    }
    fn write_step(&self) -> Result<()> {
        self.pruner.as_ref().map_or(Ok(()), |pruner| pruner.open(self.step))?;
        let (first, live) = self.feed.range((self.step % self.length.steps_per_epoch) as usize);
        self.step_uniform.write(&self.optimizer.corrected(Step {
            step: self.step as u32,
            first: first as u32,
            live: live as u32,
            rate: self.learning_rate() as f32,
            update: (self.updates + 1) as u32,
            ..Default::default()
        }))
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
                .at(format!("step {step}, learning rate {}", self.rate_at(step as u64)))
                .at("the weights are those before that step")
                .hint("a lower learning rate, or a warm-up: optim.lr.warmup = \"1ep\""));
        }
        self.totals.write(&[0u32; Totals::WORDS])?;
        Ok(totals)
    }

    /// Loss and accuracy on a part of the data, by the masks of the end where they flow; `None` where it is empty.
    pub fn evaluate(&self, part: Part) -> Result<Option<Totals>> {
        self.pruner.as_ref().map_or(Ok(()), Pruner::show_hard)?;
        self.examine(part)
    }

    /// As [`Session::evaluate`], by what the last step's forward pass saw; `None` where that is the same.
    pub fn evaluate_soft(&self, part: Part) -> Result<Option<Totals>> {
        let last = self.step.saturating_sub(1);
        let is_soft = self.pruner.as_ref().map_or(Ok(false), |pruner| pruner.show_soft(last))?;
        if is_soft { self.examine(part) } else { Ok(None) }
    }

    fn examine(&self, part: Part) -> Result<Option<Totals>> {
        let (exam, plan) = match (part, &self.validation, &self.plans.validation) {
            (Part::Test, ..) => (&self.test, &self.plans.test),
            (Part::Validation, Some(exam), Some(plan)) => (exam, plan),
            (Part::Validation, ..) => return Ok(None),
        };
        exam.totals.write(&[0u32; Totals::WORDS])?;
        for batch in 0..exam.feed.batches() {
            let (first, live) = exam.feed.range(batch);
            self.step_uniform.write(&Step {
                first: first as u32,
                live: live as u32,
                ..Default::default()
            })?;
            plan.replay()?;
        }
        Ok(Some(Totals::from_words(&exam.totals.read_u32()?)))
    }

    /// The step's dispatches, in order, mask updates apart.
    pub fn plans(&self) -> [&Plan; 2] {
        [&self.plans.before.plan, &self.plans.after.plan]
    }
    /// Columns of a batch.
    pub fn columns(&self) -> usize {
        self.frame.columns.label.len()
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

impl Plans {
    /// Plans that do nothing.
    fn none(gpu: &Gpu) -> Result<Self> {
        let segment = || -> Result<Segment> {
            let plan = Recorder::new(gpu).finish()?;
            let profiler = plan.profiler()?;
            Ok(Segment { plan, profiler })
        };
        let test = Recorder::new(gpu).finish()?;
        Ok(Self { before: segment()?, after: segment()?, validation: None, test })
    }
}

impl Session {
    fn segment(&self, stages: &[Stage]) -> Result<Segment> {
        let mut rec = Recorder::new(&self.gpu);
        for stage in stages {
            match stage {
                Stage::Masks => {
                    if let Some(pruner) = &self.pruner {
                        pruner.record_masks(&mut rec, &self.model.params())?;
                    }
                }
                Stage::Forward => self.forward(&mut rec, &self.feed)?,
                Stage::Backward => {
                    self.backward(&mut rec)?;
                    if let Some(pruner) = &self.pruner {
                        pruner.record_gradients(&mut rec, &self.model.params())?;
                    }
                }
                Stage::Update => {
                    let params = self.model.params();
                    self.optimizer.record(&mut rec, &params, &self.step_uniform, &self.totals)?;
                    sparsity::record_effective(&mut rec, &params)?;
                    if let Some(pruner) = &self.pruner {
                        pruner.record_update(&mut rec, &params, &self.step_uniform, &self.totals)?;
                    }
                }
            }
        }
        let plan = rec.finish()?;
        let profiler = plan.profiler()?;
        Ok(Segment { plan, profiler })
    }

    fn forward(&self, rec: &mut Recorder, feed: &Feed) -> Result<()> {
        let (a, c) = (&self.frame.activations, &self.frame.columns);
        rec.phase(Phase::Batch);
        rec.scope("data");
        batch::record(rec, &feed.set, &self.step_uniform, &a.values[0], &c.label)?;
        self.model.forward(rec, &self.choices, a)
    }

    fn backward(&self, rec: &mut Recorder) -> Result<()> {
        let Frame { activations: a, gradients: d, columns: c } = &self.frame;
        rec.phase(Phase::Loss);
        rec.scope("loss");
        let target = Target::Hard { label: &c.label, smoothing: 0.0 };
        cross_entropy::record(rec, &self.step_uniform, a.logits(), target, d.logits(), &c.loss, &c.hit)?;
        tally::record(rec, &self.step_uniform, &c.loss, &c.hit, &self.totals)?;
        self.model.backward(rec, &self.choices, a, d)
    }

    fn record_exam(&self, exam: &Exam) -> Result<Plan> {
        let mut rec = Recorder::new(&self.gpu);
        self.forward(&mut rec, &exam.feed)?;
        rec.phase(Phase::Loss);
        let (step, c) = (&self.step_uniform, &self.frame.columns);
        let logits = self.frame.activations.logits();
        cross_entropy::record_judgement(&mut rec, step, logits, &c.label, &c.loss, &c.hit)?;
        tally::record(&mut rec, step, &c.loss, &c.hit, &exam.totals)?;
        rec.finish()
    }
}
