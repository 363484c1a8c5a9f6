//! PS-KD: the network's own predictions of the epoch before soften its targets, more and more.
//!
//! Kim et al., 2021, "Self-Knowledge Distillation with Progressive Refinement of Targets", Section 3. Predictions are
//! kept for every sample of the training part; before there are any, a sample's label stands in.

use toml::Value;

use super::{Batch, Context, Entry, Method};
use crate::error::{Error, Kind, Result};
use crate::gpu::check::{Check, Tolerance, Trial};
use crate::gpu::{Dtype, Gpu, Kernel, Recorder, Tensor, Twin, Uniform};
use crate::ops::{Step, groups};
use crate::recipe::Settings;
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/distill/ps_kd.wgsl`.
    pub struct Args { classes: u32, cols: u32, samples: u32 }
}
wgsl_struct! {
    /// What changes from epoch to epoch.
    pub struct Share {
        /// The past's share of the target.
        alpha: f32,
    }
}

const MAIN: Kernel = Kernel::own(source!("distill/ps_kd"), twin).proven();
const WG: usize = 64;

pub const ENTRY: Entry = Entry {
    name: "ps-kd",
    about: "self-distillation: each sample's prediction of the epoch before softens its target, up to `alpha`",
    paper: "Kim et al. 2021",
    settings: || vec![("alpha", Value::Float(0.8))],
    build: |gpu, settings, context| Ok(Some(Box::new(PsKd::new(gpu, alpha(settings)?, context)?))),
    checks: || vec![Check::new("distill/ps_kd", check), Check::new("distill/ps_kd (odd)", check_odd)],
};

fn alpha(settings: &Settings) -> Result<f64> {
    let alpha = settings.f64("alpha")?;
    if (0.0..=1.0).contains(&alpha) {
        Ok(alpha)
    } else {
        Err(settings.wrong("alpha", "a number from 0 to 1"))
    }
}

/// The past's share of the target in an epoch, which counts from 0: `alpha (epoch + 1) / epochs`.
pub fn share(alpha: f64, epoch: u64, epochs: u64) -> f64 {
    alpha * (epoch + 1) as f64 / epochs as f64
}

/// Past predictions on the device.
pub struct PsKd {
    alpha: f64,
    share: Uniform,
    /// `(samples, classes)`: of each sample, the probabilities that it was last given; its label at first.
    pub past: Tensor,
    /// `(classes, cols)`.
    pub soft: Tensor,
}

impl PsKd {
    /// `alpha` is the past's share in the last epoch.
    ///
    /// # Errors
    /// `Kind::Memory` where the predictions exceed one binding or the device has no room.
    pub fn new(gpu: &Gpu, alpha: f64, context: &Context) -> Result<Self> {
        let &Context { classes, cols, labels } = context;
        let (bytes, limit) = (labels.len() as u64 * classes as u64 * 4, gpu.limits().binding_bytes);
        if bytes > limit {
            let what = format!("{classes} probabilities of {} samples exceed one binding", labels.len());
            return Err(Error::new(Kind::Memory, what)
                .at(format!("{bytes} bytes; a binding holds {limit}"))
                .hint("fewer samples, or distill.method = \"none\""));
        }
        let mut past = vec![0.0; labels.len() * classes];
        labels.iter().enumerate().for_each(|(sample, &k)| past[sample * classes + k as usize] = 1.0);
        Ok(Self {
            alpha,
            share: gpu.uniform("share", &Share::default())?,
            past: gpu.upload_f32("past", &[labels.len(), classes], &past)?,
            soft: gpu.tensor("soft", Dtype::F32, &[classes, cols])?,
        })
    }
}

impl Method for PsKd {
    fn begin(&self, epoch: u64, epochs: u64) -> Result<()> {
        self.share.write(&Share { alpha: share(self.alpha, epoch, epochs) as f32 })
    }
    fn record(&self, rec: &mut Recorder, batch: &Batch) -> Result<()> {
        record(rec, &self.share, batch, &self.past, &self.soft)
    }
    fn soft(&self) -> &Tensor {
        &self.soft
    }
    fn state(&self) -> Vec<(&'static str, &Tensor)> {
        vec![("past", &self.past)]
    }
}

/// `soft = (1 - alpha) one-hot + alpha past[sample]`, then `past[sample] = softmax(logits)`, for each column; columns
/// without a sample get zeros.
fn record(rec: &mut Recorder, share: &Uniform, batch: &Batch, past: &Tensor, soft: &Tensor) -> Result<()> {
    let &Batch { step, logits, label, order } = batch;
    let (classes, cols) = (logits.shape[0], logits.shape[1]);
    let args = Args { classes: classes as u32, cols: cols as u32, samples: order.len() as u32 };
    let binds = bind! { args: &args, step: step, share: share, logits: logits, label: label, order: order,
    past: past, soft: soft };
    rec.dispatch(&MAIN, binds, groups(cols, WG), 8 * logits.len() as u64)?;
    // Logits and old predictions are read, targets and new predictions written; the rest of the past rests.
    rec.moves(4 * logits.bytes());
    Ok(())
}

fn twin(t: &Twin) {
    let (args, step, share): (Args, Step, Share) = (t.get("args"), t.get("step"), t.get("share"));
    let (logits, label, order) = (t.f32("logits"), t.u32("label"), t.u32("order"));
    let (mut past, mut soft) = (t.f32_mut("past"), t.f32_mut("soft"));
    let (classes, cols, alpha) = (args.classes as usize, args.cols as usize, share.alpha as f64);
    for col in 0..cols {
        if col >= step.live as usize {
            (0..classes).for_each(|k| soft[k * cols + col] = 0.0);
            continue;
        }
        let row = order[step.first as usize + col] as usize * classes;
        let values: Vec<f64> = (0..classes).map(|k| logits[k * cols + col] as f64).collect();
        let peak = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = values.iter().map(|v| (v - peak).exp()).sum();
        for k in 0..classes {
            let one_hot = if k as u32 == label[col] { 1.0 } else { 0.0 };
            soft[k * cols + col] = ((1.0 - alpha) * one_hot + alpha * past[row + k] as f64) as f32;
            past[row + k] = ((values[k] - peak).exp() / total) as f32;
        }
    }
}

const CLASSES: usize = 7;

fn check(t: &mut Trial, cols: usize) -> Result<()> {
    let logits = t.input("logits", &[CLASSES, cols])?;
    check_of(t, &logits, Trial::compare)
}

fn check_odd(t: &mut Trial, cols: usize) -> Result<()> {
    let logits = t.odd_logits(CLASSES, cols)?;
    check_of(t, &logits, Trial::compare_odd)
}

fn check_of(t: &mut Trial, logits: &Tensor, compare: fn(&mut Trial, &Tensor, Tolerance)) -> Result<()> {
    let ([classes, cols], samples) = ([logits.shape[0], logits.shape[1]], 300);
    let live = cols.saturating_sub(1).max(1) as u32;
    let step = t.gpu.uniform("step", &Step { first: 11, live, ..Default::default() })?;
    let share = t.gpu.uniform("share", &Share { alpha: 0.4 })?;
    let label = t.indices("label", &[cols], classes as u32)?;
    // 7 and 300 have no common divisor: no sample comes twice.
    let order: Vec<u32> = (0..samples as u32).map(|i| i * 7 % samples as u32).collect();
    let order = t.gpu.upload_u32("order", &[samples], &order)?;
    let past = t.input("past", &[samples, classes])?;
    // exp differs by a few units in the last place from device to device.
    let close = Tolerance { abs: 1e-6, rel: 3e-6 };
    compare(t, &past, close);
    let batch = Batch { step: &step, logits, label: &label, order: &order };
    // What the first pass leaves behind, the second one reads.
    for name in ["first", "second"] {
        let soft = t.gpu.tensor(name, Dtype::F32, &[classes, cols])?;
        compare(t, &soft, close);
        record(&mut t.rec, &share, &batch, &past, &soft)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_rises_to_alpha() {
        for (epoch, want) in [(0, 0.0026667), (1, 0.0053333), (149, 0.4), (298, 0.7973333), (299, 0.8)] {
            let got = share(0.8, epoch, 300);
            assert!((got - want).abs() <= 5e-8, "epoch {epoch}: {got}, not {want}");
        }
    }
}
