//! The passes through the network that a session takes, in buffers that they share.

use super::outline::is_narrow;
use super::session::Session;
use crate::error::{Kind, Result};
use crate::gpu::{Gpu, Tensor};
use crate::nn::{Arena, Copies, Gradients, Left, Pass, Schedule, Wish};
use crate::sparsity::{Pruner, Stage};

/// What [`Session::lay_out`] made; nothing before.
pub(super) struct Passes {
    made: Option<Made>,
}

struct Made {
    arena: Arena,
    step: Pass,
    due: Option<Pass>,
    /// Those of a step's further micro-batches, whose gradients are added.
    more: Option<Pass>,
    more_due: Option<Pass>,
    /// By micro-batch, what growth multiplies: all but the last one's, which the pass itself has.
    copies: Vec<Copies>,
    validation: Option<Pass>,
    test: Pass,
}

impl Passes {
    pub(super) fn none() -> Self {
        Self { made: None }
    }
    fn made(&self) -> &Made {
        self.made.as_ref().expect("passes are laid out before anything is recorded")
    }
    /// That of most steps.
    pub(super) fn step(&self) -> &Pass {
        &self.made().step
    }
    /// That of steps with a mask update, which may read activations and all gradients.
    pub(super) fn due(&self) -> &Pass {
        self.made().due.as_ref().unwrap_or(self.step())
    }
    /// Whether it is another than that of most steps.
    pub(super) fn has_due(&self) -> bool {
        self.made().due.is_some()
    }
    /// That of a step's first micro-batch, and that of each other one, if there are any; of steps with a mask update if `due`.
    pub(super) fn training(&self, due: bool) -> (&Pass, Option<&Pass>) {
        let Made { step, more, more_due, .. } = self.made();
        match due {
            true => (self.due(), more_due.as_ref().or(more.as_ref())),
            false => (step, more.as_ref()),
        }
    }
    pub(super) fn copies(&self) -> &[Copies] {
        &self.made().copies
    }
    /// What all micro-batches of a step with a mask update leave for dense gradients.
    pub(super) fn left(&self) -> Left<'_> {
        let (first, more) = self.training(true);
        Left::after(more.unwrap_or(first), self.copies())
    }
    pub(super) fn validation(&self) -> Option<&Pass> {
        self.made().validation.as_ref()
    }
    pub(super) fn test(&self) -> &Pass {
        &self.made().test
    }
    /// One more, in the same buffers.
    pub(super) fn more(&self, gpu: &Gpu, schedule: Schedule) -> Result<Pass> {
        self.made().arena.more(gpu, schedule)
    }
    /// Bytes of the buffers that they share, and of copies.
    pub(super) fn bytes(&self) -> u64 {
        let copies =
            |made: &Made| made.copies.iter().flat_map(|of| of.values()).map(Tensor::bytes).sum::<u64>();
        self.made.as_ref().map_or(0, |made| made.arena.bytes() + copies(made))
    }
}

impl Session {
    /// Makes the passes anew, for the storage that parameters have now and the layers that train.
    pub(super) fn lay_out(&mut self, first: &[Stage]) -> Result<()> {
        self.passes = Passes::none(); // its memory first
        let pruner = self.pruner.as_ref();
        let narrow = is_narrow(&self.recipe);
        let grows = pruner.is_some_and(Pruner::grows);
        let averages = pruner.is_some_and(Pruner::averages);
        let frozen = self.model.params.iter().any(|param| param.frozen);
        let chooses = pruner.is_some_and(Pruner::chooses_by_gradient) && frozen;
        // Where most steps would otherwise write more than they read.
        let apart = narrow && grows && !averages && first.contains(&Stage::Backward);
        let of = |gradients, keeps, narrow_batch| {
            // Evaluations have nothing to recompute for.
            let recomputes = self.recipe.run.recompute && gradients != Gradients::None;
            Wish { gradients, keeps, narrow, narrow_batch, recomputes, adds: false }
        };
        let batch = self.feed.store.writes_narrow();
        let step = of(Gradients::Trained, (grows || averages) && !apart, batch);
        let due = of(if chooses { Gradients::All } else { Gradients::Trained }, grows || averages, batch);
        let evaluation = |narrow_batch| of(Gradients::None, false, narrow_batch);
        let exams = [self.validation.as_ref(), Some(&self.test)];
        let adds = self.recipe.run.accumulate > 1;
        let mut wishes = vec![step];
        wishes.extend((due != step).then_some(due));
        let added: Vec<Wish> = wishes.iter().filter(|_| adds).map(|wish| Wish { adds, ..*wish }).collect();
        wishes.extend(added);
        wishes.extend(exams.into_iter().flatten().map(|exam| evaluation(exam.feed.store.writes_narrow())));
        let cols = self.columns();
        let schedule = |wish: &Wish| Schedule::new(&self.model, &self.gpu, &self.choices, cols, *wish);
        let made = Arena::new(&self.gpu, wishes.iter().map(schedule).collect());
        // Buffers are shared, and have no layer's name.
        let largest = || format!("the largest value, for comparison: {}", self.model.largest_value(cols));
        let (arena, passes) =
            made.map_err(|error| if error.kind == Kind::Memory { error.at(largest()) } else { error })?;
        let mut passes = passes.into_iter();
        let carried = &mut self.carried;
        // Evaluations have their own.
        let mut training = |mut pass: Pass| {
            pass.carried = carried.get_or_insert_with(|| pass.carried.clone()).clone();
            pass
        };
        let mut next = |made: bool| if made { passes.next() } else { None };
        self.passes.made = Some(Made {
            arena,
            step: training(next(true).expect("asked for")),
            due: next(due != step).map(&mut training),
            more: next(adds).map(&mut training),
            more_due: next(adds && due != step).map(&mut training),
            copies: Vec::new(),
            validation: next(self.validation.is_some()),
            test: next(true).expect("asked for"),
        });
        let copies = self.make_copies()?;
        if let Some(made) = &mut self.passes.made {
            made.copies = copies;
        }
        Ok(())
    }
}
