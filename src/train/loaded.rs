//! A network with the weights of a file, and its forward pass for one sample: what is sampled from.

use super::layout;
use crate::error::{Error, Kind, Result};
use crate::gpu::{Gpu, Plan, Recorder, Uniform};
use crate::nn::{Arena, Model, Pass, Schedule, Wish};
use crate::ops::Step;
use crate::ops::packed::{Form, Pattern};
use crate::ops::variants::Choices;
use crate::param::Param;
use crate::store::Arrays;

/// Columns of the batch; one of them is used.
pub(super) const COLUMNS: usize = 4;
/// A weight of which less is kept is packed: about the density from which packed products of training were measured to be the
/// faster ones. With so few columns that was not measured; it is the memory that is surely less.
const PACKED_BELOW: f64 = 0.25;

pub(super) struct Loaded {
    /// Its memory lives as long as the plan.
    pub model: Model,
    /// Weights whose kept values alone are stored.
    pub packed: usize,
    pass: Pass,
    plan: Plan,
    step: Uniform,
}

impl Loaded {
    /// # Errors
    /// `Kind::Checkpoint` where weights do not fit; whatever the device reports.
    pub fn new(gpu: &Gpu, mut model: Model, weights: &Arrays, choices: &Choices) -> Result<Self> {
        let packed = fill(gpu, &mut model, weights)?;
        let schedule = Schedule::new(&model, gpu, choices, COLUMNS, Wish::default());
        let (_, mut passes) = Arena::new(gpu, vec![schedule])?;
        let pass = passes.remove(0);
        let step = gpu.uniform("step", &Step::default())?;
        let mut rec = Recorder::new(gpu);
        model.forward(&mut rec, choices, &step, &pass)?;
        let plan = rec.finish()?;
        Ok(Self { model, packed, pass, plan, step })
    }
    /// Passes tokens (steps, columns) through, the first of which is step `first` of its sample.
    pub fn run(&self, tokens: &[u32], first: u32) -> Result<()> {
        self.pass.input().write(tokens)?;
        self.step.write(&Step { first, live: 1, answers: 1, ..Step::default() })?;
        self.plan.replay()
    }
    /// The logits (classes, answers, columns) of an output.
    pub fn output(&self, number: usize) -> Result<Vec<f32>> {
        self.pass.heads()[number].0.read_f32()
    }
}

/// Gives all parameters their memory and the weights of a file. Returns how many of them are packed.
///
/// # Errors
/// `Kind::Checkpoint` where weights do not fit; whatever the device reports.
fn fill(gpu: &Gpu, model: &mut Model, weights: &Arrays) -> Result<usize> {
    let mut packed = 0;
    for param in model.params.iter_mut() {
        let own = weights.get(&param.name).and_then(|own| layout::to_device(param, own));
        let own = own.ok_or_else(|| {
            let shape = layout::shape_of(param);
            Error::checkpoint(format!("there is no `{}` of shape {shape:?} among the weights", param.name))
        })?;
        packed += usize::from(hand_over(gpu, param, own.to_f32())?);
    }
    Ok(packed)
}

/// Refuses logits that are not finite.
pub(super) fn finite(logits: Vec<f32>) -> Result<Vec<f32>> {
    match logits.iter().all(|logit| logit.is_finite()) {
        true => Ok(logits),
        false => Err(Error::new(Kind::Numbers, "the network answers with what is no number")),
    }
}

/// Gives a parameter its memory and the values of a file. Returns whether it is packed.
fn hand_over(gpu: &Gpu, param: &mut Param, values: Vec<f32>) -> Result<bool> {
    let kept: Vec<u32> = (0..values.len() as u32).filter(|&i| values[i as usize] != 0.0).collect();
    let packs = param.is_multiplied && (kept.len() as f64) < PACKED_BELOW * values.len() as f64;
    param.begin_with(values);
    if packs {
        let matrix = param.matrix();
        param.allocate_packed(gpu, Pattern::from_indices(Form::Free, matrix.rows, matrix.inner(), &kept))?;
    } else {
        param.allocate(gpu)?;
    }
    Ok(packs)
}
