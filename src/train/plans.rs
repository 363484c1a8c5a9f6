//! What a session records: the dispatches of a step, before and after its mask update, and those of evaluations.

use std::ops::Range;

use super::averages::Averages;
use super::feed::Feed;
use super::micro::Between;
use super::numbers::Numbers;
use super::session::Session;
use super::shrinking::Shrinking;
use crate::distill::Batch;
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Phase, Plan, Profiler, Recorder, Tensor};
use crate::nn::{Left, Model, Pass};
use crate::ops::cross_entropy::{self, Labels, Share, Target};
use crate::ops::tally;
use crate::ops::variants::Choices;
use crate::param::{ParamId, ParamSet};
use crate::sparsity::{self, Pruner, Stage, methods};

/// Everything that is recorded, again where the storage of a parameter changes.
pub(super) struct Plans {
    /// What comes before and after the mask update within a step.
    pub(super) before: Segment,
    /// As `before`, where a mask update reads what that does not leave: activations as f32, gradients of frozen layers.
    pub(super) updating: Option<Segment>,
    pub(super) after: Segment,
    pub(super) between: Between,
    /// Forward and backward with logits over the temperature that the method looks at batches with.
    pub(super) tempered: Option<Segment>,
    pub(super) validation: Option<Plan>,
    pub(super) test: Plan,
    pub(super) numbers: Numbers,
    pub(super) averages: Option<Averages>,
}

/// A recorded part of a step: `first` alone, or where it has several micro-batches and their passes are in this part, what
/// goes on to the first one's gradients, what each other one takes, and what comes after.
pub(super) struct Segment {
    pub(super) first: Recorded,
    pub(super) more: Option<Recorded>,
    pub(super) rest: Option<Recorded>,
}

pub(super) struct Recorded {
    pub(super) plan: Plan,
    pub(super) profiler: Profiler,
}

impl Recorded {
    pub(super) fn new(rec: Recorder) -> Result<Self> {
        let plan = rec.finish()?;
        let profiler = plan.profiler()?;
        Ok(Self { plan, profiler })
    }
    pub(super) fn replay(&self) -> Result<()> {
        self.plan.replay()
    }
}

/// How a part of a step is recorded.
#[derive(Clone, Copy)]
pub(super) struct How {
    /// Its pass leaves what mask updates read.
    pub(super) due: bool,
    /// What logits are divided by.
    pub(super) temperature: f32,
    /// Gradients are what the backward pass makes them: no method goes on from them.
    pub(super) plain: bool,
}

impl How {
    /// As most steps have it.
    pub(super) const USUAL: How = How { due: false, temperature: 1.0, plain: false };
}

impl Plans {
    /// Plans that do nothing.
    pub(super) fn none(gpu: &Gpu) -> Result<Self> {
        let segment = || -> Result<Segment> {
            Ok(Segment { first: Recorded::new(Recorder::new(gpu))?, more: None, rest: None })
        };
        let test = Recorder::new(gpu).finish()?;
        let numbers = Numbers::record(gpu, &ParamSet::default())?;
        let (before, after) = (segment()?, segment()?);
        let between = Between::default();
        Ok(Self {
            before,
            updating: None,
            after,
            between,
            tempered: None,
            validation: None,
            test,
            numbers,
            averages: None,
        })
    }
}

/// Records the gradient of some rows of a parameter after backward passes, also where nothing is kept.
pub(super) fn dense_grads<'a>(
    model: &'a Model,
    choices: &'a Choices,
    left: Left<'a>,
) -> impl Fn(&mut Recorder, ParamId, Range<usize>, &Tensor) -> Result<()> + 'a {
    move |rec, param, rows, to| model.dense_grad(rec, choices, &left, (param, rows), to)
}

impl Session {
    /// Records everything anew, for the storage that parameters have now and the layers that train.
    pub(super) fn record(&mut self) -> Result<()> {
        self.plans = Plans::none(&self.gpu)?; // its memory first
        self.shrinking.iter().for_each(Shrinking::forget);
        let order = self.pruner.as_ref().map_or(methods::ALL[0].order, |pruner| pruner.entry.order);
        let split = order.iter().position(|stage| *stage == Stage::Masks);
        let (first, second) = order.split_at(split.unwrap_or(order.len()));
        self.model.params.join(&self.gpu)?;
        self.lay_out(first)?;
        if let Some(pruner) = &mut self.pruner {
            let grads = dense_grads(&self.model, &self.choices, self.passes.left());
            pruner.record(&self.gpu, &self.model.params, &grads)?;
        }
        self.plans = Plans {
            before: self.segment(first, How::USUAL)?,
            updating: self
                .passes
                .has_due()
                .then(|| self.segment(first, How { due: true, ..How::USUAL }))
                .transpose()?,
            after: self.segment(second, How::USUAL)?,
            between: self.record_between()?,
            tempered: self.record_tempered()?,
            validation: self
                .validation
                .as_ref()
                .zip(self.passes.validation())
                .map(|(exam, pass)| self.record_exam(exam, pass))
                .transpose()?,
            test: self.record_exam(&self.test, self.passes.test())?,
            numbers: Numbers::record(&self.gpu, &self.model.params)?,
            averages: self.record_averages()?,
        };
        Ok(())
    }

    /// What a step begins with: a mask update may read activations and gradients.
    pub(super) fn opening(&self) -> &Segment {
        self.plans.updating.as_ref().filter(|_| self.is_due()).unwrap_or(&self.plans.before)
    }
    pub(super) fn segment(&self, stages: &[Stage], how: How) -> Result<Segment> {
        let (pass, more) = self.passes.training(how.due);
        let passed = stages.iter().position(|stage| *stage == Stage::Backward).map_or(0, |at| at + 1);
        let (until, after) = stages.split_at(passed);
        let mut rec = Recorder::new(&self.gpu);
        for stage in until {
            self.record_stage(&mut rec, *stage, pass, how)?;
        }
        let Some(more) = more.filter(|_| passed > 0) else {
            self.settle(&mut rec, passed > 0, after, how)?;
            return Ok(Segment { first: Recorded::new(rec)?, more: None, rest: None });
        };
        let [mut again, mut rest] = [(); 2].map(|()| Recorder::new(&self.gpu));
        for stage in [Stage::Forward, Stage::Backward] {
            self.record_stage(&mut again, stage, more, how)?;
        }
        self.settle(&mut rest, true, after, how)?;
        let more = Some(Recorded::new(again)?);
        Ok(Segment { first: Recorded::new(rec)?, more, rest: Some(Recorded::new(rest)?) })
    }

    /// Records a stage of one micro-batch.
    fn record_stage(&self, rec: &mut Recorder, stage: Stage, pass: &Pass, how: How) -> Result<()> {
        let params = &self.model.params;
        match (stage, &self.pruner) {
            (Stage::Masks, Some(pruner)) => pruner.record_masks(rec, params),
            (Stage::Masks, None) => Ok(()),
            (Stage::Forward, _) => self.forward(rec, &self.feed, pass),
            (Stage::Backward, pruner) => {
                self.backward(rec, how.temperature, pass)?;
                let Some(pruner) = pruner.as_ref().filter(|_| !how.plain) else { return Ok(()) };
                let grads = dense_grads(&self.model, &self.choices, Left::by(pass));
                pruner.record_means(rec, params, pass.schedule.wish.adds, &grads)
            }
            (Stage::Update, pruner) => {
                self.optimizer.record(rec, params, &self.step_uniform, &self.totals)?;
                self.model.record_statistics(rec, &self.totals)?;
                sparsity::record_effective(rec, params)?;
                if let Some(pruner) = pruner {
                    pruner.record_update(rec, params, &self.step_uniform, &self.totals)?;
                }
                self.average.as_ref().map_or(Ok(()), |average| average.record(rec, params, &self.totals))
            }
        }
    }

    /// Records what comes after the gradients of all micro-batches, if they are there.
    fn settle(&self, rec: &mut Recorder, passed: bool, after: &[Stage], how: How) -> Result<()> {
        if let Some(pruner) = self.pruner.as_ref().filter(|_| passed && !how.plain) {
            pruner.record_gradients(rec, &self.model.params)?;
        }
        after.iter().try_for_each(|stage| self.record_stage(rec, *stage, self.passes.step(), how))
    }

    pub(super) fn forward(&self, rec: &mut Recorder, feed: &Feed, pass: &Pass) -> Result<()> {
        self.forward_of(rec, &self.model, feed, pass)
    }
    /// A batch through a network.
    pub(super) fn forward_of(
        &self,
        rec: &mut Recorder,
        model: &Model,
        feed: &Feed,
        pass: &Pass,
    ) -> Result<()> {
        rec.phase(Phase::Batch);
        rec.scope("data");
        feed.store.record(rec, &self.step_uniform, pass.input(), &self.columns.label)?;
        if let Some(plain) = pass.plain() {
            feed.store.record_plain(rec, &self.step_uniform, plain, &self.columns.label)?;
        }
        model.forward(rec, &self.choices, &self.step_uniform, pass)
    }

    fn record_tempered(&self) -> Result<Option<Segment>> {
        let temperature = self.pruner.as_ref().map_or(1.0, Pruner::temperature);
        let how = How { due: true, temperature, plain: true };
        (temperature != 1.0).then(|| self.segment(&[Stage::Forward, Stage::Backward], how)).transpose()
    }

    /// Records the losses of all outputs, added up by their weights, and from their gradients the backward pass.
    pub(super) fn backward(&self, rec: &mut Recorder, temperature: f32, pass: &Pass) -> Result<()> {
        let (step, c) = (&self.step_uniform, &self.columns);
        rec.phase(Phase::Loss);
        rec.scope("loss");
        let label = Labels { tensor: &c.label, batch: self.columns() };
        let judged = self.model.judged();
        let heads = self.model.heads().iter().zip(pass.heads()).enumerate();
        for (index, (head, (logits, d_logits))) in heads.filter(|(_, (head, _))| head.weight > 0.0) {
            let d_logits =
                d_logits.ok_or_else(|| Error::internal("a pass without gradients has no backward pass"))?;
            let (smoothing, mixup) = (self.recipe.loss.smoothing as f32, self.feed.store.mixup());
            let target = match (&self.distill, mixup) {
                (Some(distill), _) => {
                    distill.record(
                        rec,
                        &Batch { step, logits, label: label.tensor, order: self.feed.store.order() },
                    )?;
                    Target::Soft { label, soft: distill.soft() }
                }
                (None, Some(mixup)) => Target::Mixed { label, smoothing, temperature, mix: &mixup.mix },
                (None, None) => Target::Hard { label, smoothing, temperature },
            };
            let share = Share { weight: head.weight, adds: index != judged };
            let hit = if index == judged { &c.hit } else { &c.other_hit };
            cross_entropy::record(rec, step, logits, target, share, d_logits, &c.loss, hit)?;
        }
        tally::record(rec, step, &c.loss, &c.hit, &self.totals)?;
        self.model.backward(rec, &self.choices, step, pass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Choice;
    use crate::recipe::Recipe;

    /// A stale f32 activation would give masks that no other test could tell from right ones.
    #[test]
    fn mask_updates_find_f32_and_no_other_step_writes_it() {
        let set = ["run.activations=bf16", "sparsity.storage=packed"].map(String::from);
        let recipe = Recipe::find("digits-rigl-90", &set).unwrap();
        let data = crate::data::open("digits", recipe.data.validation).unwrap();
        for gpu in [Gpu::twin(), Gpu::open(&Choice::Auto).unwrap()] {
            let mut run = Session::new(&gpu, &recipe, &data, Choices::default()).unwrap();
            let (mut updates, mut before) = (0, Vec::new());
            for step in 0..45 {
                let due = run.pruner.as_ref().is_some_and(|pruner| pruner.due(step).is_some());
                run.write_step().unwrap();
                run.opening().first.replay().unwrap();
                let packed = run.model.params.pairs().filter(|(_, param)| param.packed().is_some());
                let items: Vec<_> = packed
                    .flat_map(|(id, _)| {
                        run.model.operands(id).flat_map(|(_, items)| items).collect::<Vec<_>>()
                    })
                    .collect();
                let wide = |pass: &Pass| items.iter().filter_map(|item| pass.wide(*item)).count();
                // The loss writes the last gradient as f32 in every step.
                assert_eq!((wide(run.passes.step()), wide(run.passes.due())), (1, 2 * 3));
                if due {
                    let read = |item| run.passes.due().wide(item).unwrap().read_f32().unwrap();
                    let now: Vec<Vec<f32>> = items.iter().map(|item| read(*item)).collect();
                    assert!(now.iter().all(|values| values.iter().any(|v| *v != 0.0)), "step {step}");
                    let same = now.iter().zip(&before).filter(|(now, before)| now == before).count();
                    assert_eq!(same, 0, "step {step}: what an earlier step left");
                    (before, updates) = (now, updates + 1);
                }
                run.advance().unwrap();
            }
            assert!(updates >= 2, "{updates}");
        }
    }
}
