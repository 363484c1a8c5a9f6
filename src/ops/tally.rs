//! Running totals of losses and hits, kept on the device, and the flag that a loss was not finite.

use super::Step;
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance, Trial};
use crate::gpu::{Dtype, Gpu, Kernel, Recorder, Tensor, Twin, Uniform};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/tally.wgsl`.
    pub struct Args { cols: u32 }
}

const MAIN: Kernel = Kernel::own(source!("ops/tally"), twin);

/// What the device has counted since the totals were last cleared.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    pub loss: f32,
    pub hits: u32,
    /// Labels that counted: of each sample one, or one at each step.
    pub answers: u32,
    pub batches: u32,
    /// The first step whose loss was not finite.
    pub broken: Option<u32>,
}

impl Totals {
    /// Words of the tensor that holds them.
    pub const WORDS: usize = 5;

    pub fn from_words(words: &[u32]) -> Self {
        Self {
            loss: f32::from_bits(words[0]),
            hits: words[1],
            answers: words[2],
            batches: words[3],
            broken: words[4].checked_sub(1),
        }
    }
    /// Cleared totals on the device.
    pub fn tensor(gpu: &Gpu) -> Result<Tensor> {
        gpu.tensor("totals", Dtype::U32, &[Self::WORDS])
    }
    /// Mean loss of a label.
    pub fn mean_loss(&self) -> f64 {
        self.loss as f64 / self.answers.max(1) as f64
    }
    /// Share of right answers, 0 to 1.
    pub fn accuracy(&self) -> f64 {
        self.hits as f64 / self.answers.max(1) as f64
    }
}

/// Adds `loss` (cols,) and `hit` (cols,) to `totals`.
pub fn record(
    rec: &mut Recorder,
    step: &Uniform,
    loss: &Tensor,
    hit: &Tensor,
    totals: &Tensor,
) -> Result<()> {
    let args = Args { cols: loss.len() as u32 };
    let binds = bind! { args: &args, step: step, loss: loss, hit: hit, totals: totals };
    rec.dispatch(&MAIN, binds, 1, loss.len() as u64)
}

fn twin(t: &Twin) {
    let step: Step = t.get("step");
    let (loss, hit) = (t.f32("loss"), t.u32("hit"));
    let mut totals = t.u32_mut("totals");
    let sum: f64 = loss.iter().map(|&v| v as f64).sum();
    totals[0] = (f32::from_bits(totals[0]) + sum as f32).to_bits();
    totals[1] += hit.iter().sum::<u32>();
    totals[2] += step.answers;
    totals[3] += 1;
    if totals[4] == 0 && !loss.iter().all(|v| v.is_finite()) {
        totals[4] = step.step + 1;
    }
}

pub fn checks() -> Vec<Check> {
    vec![
        Check::new("ops/tally", |t, n| check(t, n, false)),
        Check::new("ops/tally (infinite)", |t, n| check(t, n, true)),
    ]
}

fn check(t: &mut Trial, cols: usize, infinite: bool) -> Result<()> {
    let step = t.gpu.uniform("step", &Step { step: 41, answers: cols as u32, ..Default::default() })?;
    // Multiples of 1/64 below 4: their sums are exact in f32, so that the bits must agree.
    let mut values: Vec<f32> = t.values(cols).iter().map(|v| (v * 256.0).round() / 64.0).collect();
    if let (true, Some(last)) = (infinite, values.last_mut()) {
        *last = f32::INFINITY;
    }
    let loss = t.gpu.upload_f32("loss", &[cols], &values)?;
    let hit = t.indices("hit", &[cols], 2)?;
    let totals = t.output_u32("totals", &[Totals::WORDS])?;
    record(&mut t.rec, &step, &loss, &hit, &totals)?;
    t.compare(&loss, Tolerance::EXACT);
    record(&mut t.rec, &step, &loss, &hit, &totals)
}
