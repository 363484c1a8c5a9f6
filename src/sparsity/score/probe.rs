//! What pruning a weight would do to the flow of the gradient: a Hessian product by finite differences.
//!
//! Wang, Zhang & Grosse, 2020 ("GraSP"), Section 3: `-w (H g)`, of which the largest are removed. `H g` is the difference
//! of the gradients at `w + eps g` and `w - eps g` over `2 eps`, with `eps = 0.01 / |g|`; only its order counts, so
//! that nothing is divided. The step's batch passes through the network three more times, or four where logits are
//! divided by a temperature, since the step's own gradient is at none.

use super::mean::{self, COPY};
use super::scores::{self, Reach};
use crate::error::Result;
use crate::gpu::{Dtype, Gpu, Phase, Plan, Recorder, Tensor, Uniform};
use crate::ops::sum;
use crate::param::{ParamId, ParamSet, Segment};
use crate::sparsity::Look;

/// How far weights are moved, as a share of the gradient's length.
const DISTANCE: f64 = 1e-2;

pub struct Probe {
    tempered: bool,
    reach: Uniform,
    /// The sums of squares of the gradients, one a tensor.
    squares: Vec<Tensor>,
    measure: Plan,
    forward: Plan,
    back: Plan,
    score: Plan,
}

impl Probe {
    /// Records the scores of groups of parameters, into `scored`; at the method's temperature, or at none.
    pub fn record(
        gpu: &Gpu,
        groups: &[Vec<ParamId>],
        params: &ParamSet,
        scored: &[Vec<Tensor>],
        tempered: bool,
    ) -> Result<Self> {
        let reach = gpu.uniform("reach", &Reach { scale: 0.0 })?;
        let [mut measure, mut forward, mut back, mut score] = [(); 4].map(|()| Recorder::new(gpu));
        for rec in [&mut measure, &mut forward, &mut back, &mut score] {
            rec.phase(Phase::Masks);
            rec.scope("probe");
        }
        let mut squares = Vec::new();
        for &i in groups.iter().flatten() {
            for (segment, result) in params[i].segments.iter().zip(&scored[i.0]) {
                let like =
                    |what: &str, segment: &Segment| gpu.tensor(what, Dtype::F32, &segment.weight.shape);
                let [base, grad, after] = [
                    like("weights", segment)?,
                    like("gradients", segment)?,
                    like("gradients ahead", segment)?,
                ];
                let square = gpu.tensor("sum of squares", Dtype::F32, &[1])?;
                mean::record(&mut measure, COPY, &segment.weight, &base)?;
                mean::record(&mut measure, COPY, &segment.grad, &grad)?;
                sum::record_squares(&mut measure, &grad, &square)?;
                squares.push(square);
                scores::record_probe(&mut forward, 1.0, &reach, &base, &grad, &segment.weight)?;
                mean::record(&mut back, COPY, &segment.grad, &after)?;
                scores::record_probe(&mut back, -1.0, &reach, &base, &grad, &segment.weight)?;
                scores::record_flow(&mut score, &base, &segment.grad, &after, result)?;
                mean::record(&mut score, COPY, &base, &segment.weight)?;
            }
        }
        let [measure, forward, back, score] =
            [measure.finish()?, forward.finish()?, back.finish()?, score.finish()?];
        Ok(Self { tempered, reach, squares, measure, forward, back, score })
    }

    /// Computes the scores; weights and gradients are then those of before. `again` passes the batch through the network.
    pub fn run(&self, again: &dyn Fn(Look) -> Result<()>) -> Result<()> {
        let look = Look { ahead: 0, tempered: self.tempered };
        if self.tempered {
            again(look)?;
        }
        self.measure.replay()?;
        let mut total = 0.0;
        for square in &self.squares {
            total += f64::from(square.read_f32()?[0]);
        }
        // A gradient of nothing moves nothing; one that is not a number is found among the scores.
        let scale = if total > 0.0 { DISTANCE / total.sqrt() } else { 0.0 };
        self.reach.write(&Reach { scale: scale as f32 })?;
        self.forward.replay()?;
        again(look)?;
        self.back.replay()?;
        again(look)?;
        self.score.replay()?;
        again(Look::default())
    }
}
