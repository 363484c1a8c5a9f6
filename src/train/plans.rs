//! What a session records: the dispatches of a step, before and after its mask update, and those of evaluations.

use std::ops::Range;

use super::feed::Feed;
use super::numbers::Numbers;
use super::session::{Frame, Session, is_narrow};
use crate::distill::Batch;
use crate::error::Result;
use crate::gpu::{Gpu, Phase, Plan, Profiler, Recorder, Tensor};
use crate::nn::{Leave, Model};
use crate::ops::cross_entropy::{self, Target};
use crate::ops::variants::Choices;
use crate::ops::{batch, tally};
use crate::sparsity::{self, Pruner, Stage, methods};

/// Everything that is recorded, again where the storage of a parameter changes.
pub(super) struct Plans {
    /// What comes before and after the mask update within a step.
    pub(super) before: Segment,
    /// As `before`, where that leaves no f32 for a mask update to read.
    pub(super) updating: Option<Segment>,
    pub(super) after: Segment,
    /// Forward and backward with logits over the temperature that the method looks at batches with.
    pub(super) tempered: Option<Plan>,
    /// The gradients of frozen layers, after either, where the method chooses by the gradients of all.
    pub(super) frozen: Option<Plan>,
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
        let numbers = Numbers::record(gpu, &[])?;
        let (before, after) = (segment()?, segment()?);
        Ok(Self {
            before,
            updating: None,
            after,
            tempered: None,
            frozen: None,
            validation: None,
            test,
            numbers,
        })
    }
}

/// Records the gradient of some rows of a parameter after a backward pass, also where nothing is kept.
pub(super) fn dense_grads<'a>(
    model: &'a Model,
    choices: &'a Choices,
    frame: &'a Frame,
) -> impl Fn(&mut Recorder, usize, Range<usize>, &Tensor) -> Result<()> + 'a {
    let (a, d) = (&frame.activations, &frame.gradients);
    move |rec, param, rows, to| model.dense_grad(rec, choices, a, d, param, rows, to)
}

impl Session {
    /// Records everything anew, for the storage that parameters have now and the layers that train.
    pub(super) fn record(&mut self) -> Result<()> {
        self.plans = Plans::none(&self.gpu)?; // its memory first
        self.optimizer.join(&self.gpu, &mut self.model.params_mut())?;
        if let Some(pruner) = &mut self.pruner {
            let (params, optimizer) = (self.model.params(), &self.optimizer);
            let grads = dense_grads(&self.model, &self.choices, &self.frame);
            pruner.record(&self.gpu, &params, &|param| optimizer.slots_of(param).to_vec(), &grads)?;
        }
        let order = self.pruner.as_ref().map_or(methods::ALL[0].order, |pruner| pruner.entry.order);
        let split = order.iter().position(|stage| *stage == Stage::Masks);
        let (first, second) = order.split_at(split.unwrap_or(order.len()));
        let leave = self.leave();
        let apart = leave == Leave::Narrow && self.pruner.is_some() && first.contains(&Stage::Backward);
        self.plans = Plans {
            before: self.segment(first, leave)?,
            updating: apart.then(|| self.segment(first, Leave::Wide)).transpose()?,
            after: self.segment(second, leave)?,
            tempered: self.record_tempered()?,
            frozen: self.record_frozen()?,
            validation: self.validation.as_ref().map(|exam| self.record_exam(exam)).transpose()?,
            test: self.record_exam(&self.test)?,
            numbers: Numbers::record(&self.gpu, &self.model.params())?,
        };
        Ok(())
    }

    /// What a step begins with: a mask update may read activations and gradients.
    pub(super) fn opening(&self) -> &Segment {
        let due = self.pruner.as_ref().is_some_and(|pruner| pruner.due(self.step).is_some());
        self.plans.updating.as_ref().filter(|_| due).unwrap_or(&self.plans.before)
    }
    /// What most steps leave: running means read f32 in each.
    fn leave(&self) -> Leave {
        let averages = self.pruner.as_ref().is_some_and(Pruner::averages);
        if is_narrow(&self.recipe) && !averages { Leave::Narrow } else { Leave::Wide }
    }

    fn segment(&self, stages: &[Stage], leave: Leave) -> Result<Segment> {
        let mut rec = Recorder::new(&self.gpu);
        for stage in stages {
            match stage {
                Stage::Masks => {
                    if let Some(pruner) = &self.pruner {
                        pruner.record_masks(&mut rec, &self.model.params())?;
                    }
                }
                Stage::Forward => self.forward(&mut rec, &self.feed, leave)?,
                Stage::Backward => {
                    self.backward(&mut rec, 1.0, leave)?;
                    if let Some(pruner) = &self.pruner {
                        let grads = dense_grads(&self.model, &self.choices, &self.frame);
                        pruner.record_gradients(&mut rec, &self.model.params(), &grads)?;
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

    pub(super) fn forward(&self, rec: &mut Recorder, feed: &Feed, leave: Leave) -> Result<()> {
        let (a, c) = (&self.frame.activations, &self.frame.columns);
        rec.phase(Phase::Batch);
        rec.scope("data");
        let x = self.model.input(a, leave, feed.set.writes_narrow());
        batch::record(rec, &feed.set, &self.step_uniform, x.tensor(), &c.label)?;
        self.model.forward(rec, &self.choices, a, x, leave)
    }

    fn record_tempered(&self) -> Result<Option<Plan>> {
        let temperature = self.pruner.as_ref().map_or(1.0, Pruner::temperature);
        if temperature == 1.0 {
            return Ok(None);
        }
        let mut rec = Recorder::new(&self.gpu);
        self.forward(&mut rec, &self.feed, Leave::Wide)?;
        self.backward(&mut rec, temperature, Leave::Wide)?;
        rec.finish().map(Some)
    }

    pub(super) fn backward(&self, rec: &mut Recorder, temperature: f32, leave: Leave) -> Result<()> {
        let Frame { activations: a, gradients: d, columns: c } = &self.frame;
        rec.phase(Phase::Loss);
        rec.scope("loss");
        let (step, logits, label) = (&self.step_uniform, a.logits(), &c.label);
        let target = match &self.distill {
            Some(distill) => {
                distill.record(rec, &Batch { step, logits, label, order: &self.feed.set.order })?;
                Target::Soft { label, soft: distill.soft() }
            }
            None => Target::Hard { label, smoothing: 0.0, temperature },
        };
        cross_entropy::record(rec, step, logits, target, d.logits(), &c.loss, &c.hit)?;
        tally::record(rec, step, &c.loss, &c.hit, &self.totals)?;
        self.model.backward(rec, &self.choices, a, d, leave)
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
            let mut updates = 0;
            for step in 0..45 {
                let due = run.pruner.as_ref().is_some_and(|pruner| pruner.due(step).is_some());
                let wide = |run: &Session| {
                    let Frame { activations: a, gradients: d, .. } = &run.frame;
                    let hidden = [&a.values[0], &a.values[1], &a.values[2], &d.values[0], &d.values[1]];
                    hidden.map(|t| t.read_f32().unwrap())
                };
                let before = wide(&run);
                run.advance().unwrap();
                let changed = before.iter().zip(&wide(&run)).map(|(a, b)| a != b).collect::<Vec<_>>();
                assert_eq!(changed, [due; 5], "step {step} on {:?}", gpu.identity());
                updates += u32::from(due);
            }
            assert!(updates >= 2, "{updates}");
        }
    }
}
