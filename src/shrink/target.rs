//! What subnets are trained by: one half the teacher's answer, one half the label.
//!
//! Cai et al. 2020 add the cross-entropy to the teacher's softmax and that to the label, each with weight 1. The sum is twice
//! the cross-entropy to the mean of the two targets.

use crate::error::Result;
use crate::gpu::check::{Check, Tolerance, Trial};
use crate::gpu::{Dtype, Kernel, Recorder, Tensor, Twin, Uniform};
use crate::ops::{Step, groups};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/shrink/target.wgsl`.
    pub struct Args { classes: u32, cols: u32, smoothing: f32 }
}

const MAIN: Kernel = Kernel::own(source!("shrink/target"), twin).proven();
const WG: usize = 64;

/// The weight of the cross-entropy to the target: it stands for two losses.
pub const WEIGHT: f32 = 2.0;

/// `soft` (classes, cols) becomes the mean of the softmax of `logits` (classes, cols), the teacher's, and of the smoothed
/// label (cols,); 0 in columns without a sample.
pub fn record(
    rec: &mut Recorder,
    step: &Uniform,
    logits: &Tensor,
    label: &Tensor,
    smoothing: f32,
    soft: &Tensor,
) -> Result<()> {
    let [classes, cols] = [logits.shape[0], logits.shape[1]];
    let args = Args { classes: classes as u32, cols: cols as u32, smoothing };
    let binds = bind! { args: &args, step: step, logits: logits, label: label, soft: soft };
    rec.dispatch(&MAIN, binds, groups(cols, WG), 8 * logits.len() as u64)
}

fn twin(t: &Twin) {
    let (args, step): (Args, Step) = (t.get("args"), t.get("step"));
    let (logits, label, mut soft) = (t.f32("logits"), t.u32("label"), t.f32_mut("soft"));
    let (classes, cols, smoothing) = (args.classes as usize, args.cols as usize, f64::from(args.smoothing));
    for col in 0..cols {
        let values: Vec<f64> = (0..classes).map(|k| f64::from(logits[k * cols + col])).collect();
        let peak = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = values.iter().map(|v| (v - peak).exp()).sum();
        for (k, value) in values.iter().enumerate() {
            let one_hot = if k as u32 == label[col] { 1.0 - smoothing } else { 0.0 };
            let mean = ((value - peak).exp() / total + one_hot + smoothing / classes as f64) / 2.0;
            soft[k * cols + col] = if col < step.live as usize { mean as f32 } else { 0.0 };
        }
    }
}

const CLASSES: usize = 7;

pub fn checks() -> Vec<Check> {
    vec![
        Check::new("shrink/target", |t, cols| {
            let logits = t.input("logits", &[CLASSES, cols])?;
            check_of(t, &logits, Trial::compare)
        }),
        Check::new("shrink/target (odd)", |t, cols| {
            let logits = t.odd_logits(CLASSES, cols)?;
            check_of(t, &logits, Trial::compare_odd)
        }),
    ]
}

fn check_of(t: &mut Trial, logits: &Tensor, compare: fn(&mut Trial, &Tensor, Tolerance)) -> Result<()> {
    let cols = logits.shape[1];
    let step = Step { live: cols.saturating_sub(1).max(1) as u32, ..Default::default() };
    let step = t.gpu.uniform("step", &step)?;
    let label = t.indices("label", &[cols], CLASSES as u32)?;
    let soft = t.gpu.tensor("soft", Dtype::F32, &[CLASSES, cols])?;
    // exp differs by a few units in the last place from device to device.
    compare(t, &soft, Tolerance { abs: 1e-6, rel: 3e-6 });
    record(&mut t.rec, &step, logits, &label, 0.1, &soft)
}
