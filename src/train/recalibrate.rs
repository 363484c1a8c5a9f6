//! Running statistics computed anew, over training batches and by the weights as they are.
//!
//! While training they lag behind the weights, most of all where many weights were just pruned.

use super::session::Session;
use crate::error::{Error, Result};
use crate::gpu::Recorder;
use crate::nn::{Gradients, Model, Pass};
use crate::ops::Step;
use crate::ops::mixup::Mixup;
use crate::ops::running::Pace;
use crate::sparsity::Pruner;

impl Session {
    /// Whether the network has statistics that a step moves.
    pub fn has_statistics(&self) -> bool {
        self.model.params.iter().any(|param| !param.learns())
    }

    /// Sets running statistics to the means of those of `batches` batches of the training part, in the order of the epoch that
    /// comes next and of those after it; in a run that shrinks, of the first. By the masks of the end where masks flow; those of
    /// frozen layers stay.
    ///
    /// # Errors
    /// `Kind::Usage` where there are none; `Kind::Numbers` if one is not finite.
    pub fn recalibrate(&mut self, batches: u32) -> Result<()> {
        if !self.has_statistics() {
            return Err(Error::usage("the network has no running statistics").hint("a `batch_norm` layer"));
        }
        // Which layers train is that of the next step; after the last one all do.
        self.enter_phase()?;
        self.pruner.as_ref().map_or(Ok(()), Pruner::show_hard)?;
        // Where subnets observe theirs, those of the full network are of the same batches.
        let first = if self.shrinking.is_some() {
            clear_statistics(&self.model)?;
            0
        } else {
            self.epoch_of(self.step.next_multiple_of(self.length.steps_per_epoch))
        };
        self.observe_in(&self.model, self.passes.step(), batches, first)?;
        self.check_weights()
    }

    /// Sets the running statistics of another network over the same data likewise, in the order of the first epoch.
    pub(super) fn observe(&self, model: &Model, batches: u32) -> Result<()> {
        // As in training, so that it normalises by the batch; its backward pass is not recorded.
        let pass = self.passes.more(&self.gpu, self.schedule_of(model, Gradients::Trained))?;
        clear_statistics(model)?;
        self.observe_in(model, &pass, batches, 0)
    }

    fn observe_in(&self, model: &Model, pass: &Pass, batches: u32, first: u64) -> Result<()> {
        let pace = self.gpu.uniform("pace", &Pace::default())?;
        let mut rec = Recorder::new(&self.gpu);
        self.forward_of(&mut rec, model, &self.feed, pass)?;
        model.record_statistics_by(&mut rec, &self.totals, &pace)?;
        let plan = rec.finish()?;
        let per_epoch = self.feed.batches() as u64;
        let observe = |batch: u64| {
            if batch.is_multiple_of(per_epoch) {
                self.feed.shuffle(self.recipe.run.seed, first + batch / per_epoch)?;
            }
            let number = (self.steps_done() + batch) as u32;
            let span = self.feed.span((batch % per_epoch) as usize);
            self.step_uniform.write(&Step { step: number, draw: number, ..span.step() })?;
            pace.write(&Pace { momentum: 1.0 / (batch + 1) as f32 })?;
            plan.replay()
        };
        // As evaluations have them.
        self.feed.store.mixup().map_or(Ok(()), Mixup::rest)?;
        // Those that the network is judged by.
        self.by_averages(|run| run.aside(|_| (0..u64::from(batches)).try_for_each(observe)))?;
        self.enter()
    }
}

/// The first batch takes the place of what was there, but for a rounding: results must not depend on that.
fn clear_statistics(model: &Model) -> Result<()> {
    let statistics = model.params.iter().filter(|param| !param.learns());
    let mut segments = statistics.flat_map(|param| &param.segments);
    segments.try_for_each(|segment| segment.weight.write(&vec![0.0f32; segment.weight.len()]))
}
