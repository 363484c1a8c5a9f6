//! Steps of several micro-batches (`run.accumulate`): the gradients of a step are those of all of its samples.
//!
//! The loss of a step is the mean over its labels, whichever micro-batch they are in. The first micro-batch sets the
//! gradients of parameters, each other one adds its own; then comes all that a step does with gradients, once.

use super::plans::{Recorded, Segment};
use super::session::Session;
use crate::error::Result;
use crate::gpu::{Dtype, Recorder, Tensor};
use crate::nn::{Copies, Item, Pass};
use crate::ops::Step;
use crate::ops::add::{self, Window};
use crate::sparsity::Pruner;

/// What several micro-batches take besides passes.
#[derive(Default)]
pub(super) struct Between {
    /// Running statistics take over what a micro-batch has observed.
    statistics: Option<Recorded>,
    /// By micro-batch, but the last: what growth multiplies is copied.
    copies: Vec<Recorded>,
}

impl Session {
    /// The most micro-batches of a step, no more than an epoch has; the last one of an epoch may have fewer.
    fn micro_batches(&self) -> usize {
        (self.recipe.run.accumulate as usize).min(self.feed.batches())
    }
    /// Micro-batches of the step `of`, as numbers of batches of its epoch.
    pub(super) fn batches_of(&self, of: u64) -> std::ops::Range<usize> {
        let most = self.micro_batches();
        let first = (of % self.length.steps_per_epoch) as usize * most;
        first..(first + most).min(self.feed.batches())
    }

    /// Writes the numbers of this step, with a micro-batch of the step `of`, which is of the same epoch.
    pub(super) fn write_batch(&self, of: u64, number: usize) -> Result<()> {
        let batches = self.batches_of(of);
        let together: usize = batches.clone().map(|batch| self.feed.span(batch).answers).sum();
        let span = self.feed.span(batches.start + number);
        if let Some(mixup) = self.feed.store.mixup() {
            let batch = (self.before + of) * self.micro_batches() as u64 + number as u64;
            mixup.enter(self.recipe.run.seed, batch as u32, span.live)?;
        }
        self.step_uniform.write(&self.optimizer.corrected(Step {
            step: self.steps_done() as u32,
            rate: self.learning_rate() as f32,
            update: (self.updates + 1) as u32,
            draw: (self.steps_done() * self.micro_batches() as u64) as u32 + number as u32,
            together: together as u32,
            ..span.step()
        }))
    }

    /// Replays a part of this step, by the samples of the step `of`, which is of the same epoch and whose first micro-batch
    /// was written. Running statistics move on from one micro-batch to the next if `moves`; those of the last one move
    /// with the update.
    pub(super) fn go_through(
        &self,
        segment: &Segment,
        of: u64,
        moves: bool,
        replay: &mut dyn FnMut(&Recorded) -> Result<()>,
    ) -> Result<()> {
        let Segment { first, more, rest } = segment;
        replay(first)?;
        if let Some(more) = more {
            let (between, count) = (&self.plans.between, self.batches_of(of).len());
            let copies = if self.is_due() { &between.copies[..] } else { &[] };
            for number in 0..count {
                if number > 0 {
                    self.write_batch(of, number)?;
                    replay(more)?;
                }
                copies.get(number).map_or(Ok(()), &mut *replay)?;
                let goes_on = moves && number + 1 < count;
                between.statistics.iter().filter(|_| goes_on).try_for_each(&mut *replay)?;
            }
            if !copies.is_empty() {
                self.clear_left(count)?;
            }
        }
        rest.as_ref().map_or(Ok(()), replay)
    }
    pub(super) fn is_due(&self) -> bool {
        self.pruner.as_ref().is_some_and(|pruner| pruner.due(self.step).is_some())
    }

    /// The items of a pass that dense gradients of packed weights are products of, if growth reads these.
    fn left_items(&self) -> Vec<Item> {
        let reads = self.pruner.as_ref().is_some_and(Pruner::reads_gradients);
        let packed = self.model.params.pairs().filter(|(_, param)| reads && param.packed().is_some());
        let mut items: Vec<Item> =
            packed.flat_map(|(id, _)| self.model.operands(id).flat_map(|(_, items)| items)).collect();
        items.sort_unstable();
        items.dedup();
        items
    }
    /// Memory for what all micro-batches but the last leave for dense gradients.
    pub(super) fn make_copies(&self) -> Result<Vec<Copies>> {
        let (pass, items) = (self.passes.due(), self.left_items());
        let copy = |item: Item| -> Option<Result<(Item, Tensor)>> {
            let like = pass.wide(item)?;
            Some(self.gpu.tensor("kept for growth", Dtype::F32, &like.shape).map(|tensor| (item, tensor)))
        };
        let all = || items.iter().copied().filter_map(copy).collect();
        (1..self.micro_batches()).filter(|_| !items.is_empty()).map(|_| all()).collect()
    }

    /// Records what happens between micro-batches, for the storage that parameters have now.
    pub(super) fn record_between(&self) -> Result<Between> {
        let (first, Some(more)) = self.passes.training(true) else { return Ok(Between::default()) };
        let copy = |(number, copies): (usize, &Copies)| {
            let pass = if number == 0 { first } else { more };
            let mut rec = Recorder::new(&self.gpu);
            let mut all: Vec<_> = copies.iter().collect();
            all.sort_unstable_by_key(|(item, _)| **item);
            for (item, to) in all {
                let from = pass.wide(*item).expect("both passes keep the same");
                add::record(&mut rec, from, to, Window::all(to), false)?;
            }
            Recorded::new(rec)
        };
        let copies = self.passes.copies().iter().enumerate().map(copy).collect::<Result<_>>()?;
        let mut rec = Recorder::new(&self.gpu);
        self.model.record_statistics(&mut rec, &self.totals)?;
        let statistics = self.has_statistics().then(|| Recorded::new(rec)).transpose()?;
        Ok(Between { statistics, copies })
    }

    /// Of micro-batches that a step lacks nothing is left.
    fn clear_left(&self, count: usize) -> Result<()> {
        if count == self.micro_batches() {
            return Ok(());
        }
        let clear = |tensor: &Tensor| tensor.write(&vec![0.0f32; tensor.len()]);
        self.passes.copies().iter().skip(count).flat_map(|of| of.values()).try_for_each(clear)?;
        let last = |pass: &Pass| {
            self.left_items().into_iter().filter_map(|item| pass.wide(item)).try_for_each(clear)
        };
        self.passes.training(true).1.map_or(Ok(()), last)
    }

    /// The plans of a part of a step, each as often as it is replayed.
    pub(super) fn plans_of<'a>(&'a self, segment: &'a Segment) -> impl Iterator<Item = &'a crate::gpu::Plan> {
        let times = self.micro_batches() - 1;
        let more =
            segment.more.iter().chain(segment.more.as_ref().and(self.plans.between.statistics.as_ref()));
        let more = more.flat_map(move |recorded| std::iter::repeat_n(recorded, times));
        std::iter::once(&segment.first).chain(more).chain(&segment.rest).map(|recorded| &recorded.plan)
    }
}
