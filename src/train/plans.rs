//! What a session records: the dispatches of a step, before and after its mask update, and those of evaluations.

use std::ops::Range;

use super::feed::Feed;
use super::numbers::Numbers;
use super::session::Session;
use super::shrinking::Shrinking;
use crate::distill::Batch;
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Phase, Plan, Profiler, Recorder, Tensor};
use crate::nn::{Model, Pass};
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
    /// Forward and backward with logits over the temperature that the method looks at batches with.
    pub(super) tempered: Option<Plan>,
    pub(super) validation: Option<Plan>,
    pub(super) test: Plan,
    pub(super) numbers: Numbers,
}

/// A recorded part of a step.
pub(super) struct Segment {
    pub(super) plan: Plan,
    pub(super) profiler: Profiler,
}

impl Plans {
    /// Plans that do nothing.
    pub(super) fn none(gpu: &Gpu) -> Result<Self> {
        let segment = || -> Result<Segment> {
            let plan = Recorder::new(gpu).finish()?;
            let profiler = plan.profiler()?;
            Ok(Segment { plan, profiler })
        };
        let test = Recorder::new(gpu).finish()?;
        let numbers = Numbers::record(gpu, &ParamSet::default())?;
        let (before, after) = (segment()?, segment()?);
        Ok(Self { before, updating: None, after, tempered: None, validation: None, test, numbers })
    }
}

/// Records the gradient of some rows of a parameter after a backward pass, also where nothing is kept.
pub(super) fn dense_grads<'a>(
    model: &'a Model,
    choices: &'a Choices,
    pass: &'a Pass,
) -> impl Fn(&mut Recorder, ParamId, Range<usize>, &Tensor) -> Result<()> + 'a {
    move |rec, param, rows, to| model.dense_grad(rec, choices, pass, (param, rows), to)
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
            let grads = dense_grads(&self.model, &self.choices, self.passes.due());
            pruner.record(&self.gpu, &self.model.params, &grads)?;
        }
        self.plans = Plans {
            before: self.segment(first, self.passes.step())?,
            updating: self.passes.has_due().then(|| self.segment(first, self.passes.due())).transpose()?,
            after: self.segment(second, self.passes.step())?,
            tempered: self.record_tempered()?,
            validation: self
                .validation
                .as_ref()
                .zip(self.passes.validation())
                .map(|(exam, pass)| self.record_exam(exam, pass))
                .transpose()?,
            test: self.record_exam(&self.test, self.passes.test())?,
            numbers: Numbers::record(&self.gpu, &self.model.params)?,
        };
        Ok(())
    }

    /// What a step begins with: a mask update may read activations and gradients.
    pub(super) fn opening(&self) -> &Segment {
        let due = self.pruner.as_ref().is_some_and(|pruner| pruner.due(self.step).is_some());
        self.plans.updating.as_ref().filter(|_| due).unwrap_or(&self.plans.before)
    }
    fn segment(&self, stages: &[Stage], pass: &Pass) -> Result<Segment> {
        let mut rec = Recorder::new(&self.gpu);
        for stage in stages {
            match stage {
                Stage::Masks => {
                    if let Some(pruner) = &self.pruner {
                        pruner.record_masks(&mut rec, &self.model.params)?;
                    }
                }
                Stage::Forward => self.forward(&mut rec, &self.feed, pass)?,
                Stage::Backward => {
                    self.backward(&mut rec, 1.0, pass)?;
                    if let Some(pruner) = &self.pruner {
                        let grads = dense_grads(&self.model, &self.choices, pass);
                        pruner.record_gradients(&mut rec, &self.model.params, &grads)?;
                    }
                }
                Stage::Update => {
                    let params = &self.model.params;
                    self.optimizer.record(&mut rec, params, &self.step_uniform, &self.totals)?;
                    self.model.record_statistics(&mut rec, &self.totals)?;
                    sparsity::record_effective(&mut rec, params)?;
                    if let Some(pruner) = &self.pruner {
                        pruner.record_update(&mut rec, params, &self.step_uniform, &self.totals)?;
                    }
                }
            }
        }
        let plan = rec.finish()?;
        let profiler = plan.profiler()?;
        Ok(Segment { plan, profiler })
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
        model.forward(rec, &self.choices, &self.step_uniform, pass)
    }

    fn record_tempered(&self) -> Result<Option<Plan>> {
        let temperature = self.pruner.as_ref().map_or(1.0, Pruner::temperature);
        if temperature == 1.0 {
            return Ok(None);
        }
        let mut rec = Recorder::new(&self.gpu);
        self.forward(&mut rec, &self.feed, self.passes.due())?;
        self.backward(&mut rec, temperature, self.passes.due())?;
        rec.finish().map(Some)
    }

    /// Records the losses of all outputs, added up by their weights, and from their gradients the backward pass.
    pub(super) fn backward(&self, rec: &mut Recorder, temperature: f32, pass: &Pass) -> Result<()> {
        let (step, c) = (&self.step_uniform, &self.columns);
        rec.phase(Phase::Loss);
        rec.scope("loss");
        let label = Labels { tensor: &c.label, batch: self.columns() };
        for (index, (head, (logits, d_logits))) in self.model.heads().iter().zip(pass.heads()).enumerate() {
            let d_logits =
                d_logits.ok_or_else(|| Error::internal("a pass without gradients has no backward pass"))?;
            let target = match &self.distill {
                Some(distill) => {
                    distill.record(
                        rec,
                        &Batch { step, logits, label: label.tensor, order: self.feed.store.order() },
                    )?;
                    Target::Soft { label, soft: distill.soft() }
                }
                None => Target::Hard { label, smoothing: self.recipe.loss.smoothing as f32, temperature },
            };
            let share = Share { weight: head.weight, adds: index > 0 };
            let hit = if index == 0 { &c.hit } else { &c.other_hit };
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
                run.opening().plan.replay().unwrap();
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
