//! Saliency over several batches: the sum of `|weight * grad|` of each.
//!
//! Lee, Ajanthan & Torr, 2019 ("SNIP"), equation 4, has the scores of one large batch; several smaller ones say as much
//! without its memory. No weight moves in between. The step's own batch comes last, so that its gradients are there again
//! afterwards.

use super::scores;
use crate::error::Result;
use crate::gpu::{Gpu, Phase, Plan, Recorder, Tensor};
use crate::param::{ParamId, ParamSet};
use crate::sparsity::Look;

pub struct Batches {
    count: u64,
    /// The scores of one batch, in place of what was there.
    first: Plan,
    /// Those of one more.
    more: Plan,
}

impl Batches {
    /// Records the scores of groups of parameters over `count` batches, into `scored`.
    pub fn record(
        gpu: &Gpu,
        groups: &[Vec<ParamId>],
        params: &ParamSet,
        scored: &[Vec<Tensor>],
        count: u64,
    ) -> Result<Self> {
        let [mut first, mut more] = [(); 2].map(|()| Recorder::new(gpu));
        for rec in [&mut first, &mut more] {
            rec.phase(Phase::Masks);
            rec.scope("batches");
        }
        for &i in groups.iter().flatten() {
            let stored = params[i].stored().into_iter();
            for ((values, segment), result) in stored.zip(&params[i].segments).zip(&scored[i.0]) {
                scores::record_saliency(&mut first, values, &segment.grad, result)?;
                scores::record_more_saliency(&mut more, values, &segment.grad, result)?;
            }
        }
        Ok(Self { count, first: first.finish()?, more: more.finish()? })
    }

    /// Computes the scores; `again` passes a batch through the network.
    pub fn run(&self, again: &dyn Fn(Look) -> Result<()>) -> Result<()> {
        for (number, ahead) in (0..self.count).rev().enumerate() {
            again(Look { ahead, tempered: false })?;
            if number == 0 { self.first.replay()? } else { self.more.replay()? }
        }
        Ok(())
    }
}
