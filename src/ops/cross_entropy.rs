//! Softmax cross-entropy with hard or soft targets, its gradient, and the right answers.

use super::mixup::{Mix, partner};
use super::{Step, groups};
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Kernel, Recorder, Tensor, Twin, Uniform};
use crate::{bind, source, wgsl_struct};

mod checks;

pub use checks::checks;

wgsl_struct! {
    /// See `shaders/ops/cross_entropy.wgsl`.
    pub struct Args { classes: u32, cols: u32, smoothing: f32, sharpness: f32, weight: f32, adds: u32, batch: u32 }
}

/// Invocations of a column that has a vocabulary of classes.
const LANES: usize = 8;
/// What a kernel need not do, by whether it sharpens and whether its loss has a weight.
const FEW: [[&[(&str, f64)]; 2]; 2] =
    [[&[], &[("WEIGHTED", 1.0)]], [&[("TEMPERED", 1.0)], &[("TEMPERED", 1.0), ("WEIGHTED", 1.0)]]];
const MANY: [[&[(&str, f64)]; 2]; 2] = [
    [&[("LANES", 8.0)], &[("LANES", 8.0), ("WEIGHTED", 1.0)]],
    [&[("LANES", 8.0), ("TEMPERED", 1.0)], &[("LANES", 8.0), ("TEMPERED", 1.0), ("WEIGHTED", 1.0)]],
];
const HARD: Kernel = Kernel::own(source!("ops/cross_entropy"), twin_hard).entry("hard").proven();
const MIXED: Kernel = Kernel::own(source!("ops/cross_entropy"), twin_mixed).entry("mixed").proven();
const JUDGE: Kernel = Kernel::own(source!("ops/cross_entropy"), twin_judge).entry("judge").proven();
const BY_SOFT: Kernel = Kernel::own(source!("ops/cross_entropy"), twin_soft).entry("by_soft").proven();
const WG: usize = 64;

/// A label that counts for nothing.
pub const IGNORED: u32 = u32::MAX;

/// The class of each column `(cols,)`, of a batch with so many samples at each step; [`IGNORED`] where none is asked for.
#[derive(Clone, Copy)]
pub struct Labels<'a> {
    pub tensor: &'a Tensor,
    pub batch: usize,
}

/// What the loss is measured against.
pub enum Target<'a> {
    /// One class a column, with label smoothing; logits are divided by the temperature, which is 1 in training.
    Hard { label: Labels<'a>, smoothing: f32, temperature: f32 },
    /// As `Hard`, for two classes a column: its own, and that of the sample it was mixed with; `mix` holds a [`Mix`]. Hits
    /// compare with its own.
    Mixed { label: Labels<'a>, smoothing: f32, temperature: f32, mix: &'a Uniform },
    /// Probabilities `(classes, cols)`; hits still compare with the class.
    Soft { label: Labels<'a>, soft: &'a Tensor },
}

/// The part of one output in the loss of a network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    pub weight: f32,
    /// It is added to the losses of outputs before this one.
    pub adds: bool,
}

impl Share {
    /// The only output of a network.
    pub const WHOLE: Share = Share { weight: 1.0, adds: false };
}

/// Losses `(cols,)` and hits `(cols,)` of `logits` (classes, cols), and `d_logits`, the gradient of the
/// mean loss over all labels of the step that count; loss and gradient are times the weight of `share`. Columns without a sample give 0.
#[allow(clippy::too_many_arguments)] // what is asked, what is answered, and how both are told
pub fn record(
    rec: &mut Recorder,
    step: &Uniform,
    logits: &Tensor,
    target: Target,
    share: Share,
    d_logits: &Tensor,
    loss: &Tensor,
    hit: &Tensor,
) -> Result<()> {
    let form = Form::of(&rec.gpu, logits, 3)?;
    let flops = 8 * logits.len() as u64;
    let mut args = args(logits);
    (args.weight, args.adds) = (share.weight, share.adds as u32);
    match target {
        Target::Hard { label, smoothing, temperature } => {
            (args.smoothing, args.sharpness) = (smoothing, 1.0 / temperature);
            args.batch = label.batch as u32;
            let binds = bind! { args: &args, step: step, logits: logits, label: label.tensor,
            d_logits: d_logits, loss: loss, hit: hit };
            rec.dispatch(&form.fit(HARD, temperature, share), binds, form.groups(), flops)
        }
        Target::Mixed { label, smoothing, temperature, mix } => {
            (args.smoothing, args.sharpness) = (smoothing, 1.0 / temperature);
            args.batch = label.batch as u32;
            let binds = bind! { args: &args, step: step, logits: logits, label: label.tensor, mix_of: mix,
            d_logits: d_logits, loss: loss, hit: hit };
            rec.dispatch(&form.fit(MIXED, temperature, share), binds, form.groups(), flops)
        }
        Target::Soft { label, soft } => {
            args.batch = label.batch as u32;
            let binds = bind! { args: &args, step: step, logits: logits, label: label.tensor, soft: soft,
            d_logits: d_logits, loss: loss, hit: hit };
            rec.dispatch(&form.fit(BY_SOFT, 1.0, share), binds, form.groups(), flops)
        }
    }
}

/// How columns are spread over invocations.
struct Form {
    cols: usize,
    lanes: usize,
}

impl Form {
    /// Of a kernel with so many loops over the classes. A GPU has too few columns to be busy with one invocation each.
    ///
    /// # Errors
    /// `Kind::Usage` where a software adapter would give up a loop.
    fn of(gpu: &Gpu, logits: &Tensor, loops: usize) -> Result<Self> {
        let [classes, cols] = [logits.shape[0], logits.shape[1]];
        let few = if gpu.is_software() { 4096 } else { 64 };
        let lanes = if classes > few { LANES } else { 1 };
        match gpu.most_rounds() {
            Some(most) if loops * classes.div_ceil(lanes) > most => {
                let what =
                    format!("this software adapter cannot judge {classes} classes: it gives up long loops");
                Err(Error::usage(what)
                    .at(format!("here: {} classes at most", most / loops * lanes))
                    .hint("a GPU, --device twin, or a smaller vocabulary"))
            }
            _ => Ok(Self { cols, lanes }),
        }
    }
    fn groups(&self) -> u64 {
        groups(self.cols * self.lanes, WG)
    }
    /// A kernel without what it need not do.
    fn fit(&self, kernel: Kernel, temperature: f32, share: Share) -> Kernel {
        let [sharpens, weighs] = [temperature != 1.0, share != Share::WHOLE].map(usize::from);
        kernel.with(if self.lanes > 1 { MANY } else { FEW }[sharpens][weighs])
    }
}

/// Losses and hits, for evaluation, and the verdict on each label: `verdict` (samples, steps), of which samples from
/// `step.first` on are written, holds the largest probability, with a minus sign where the answer is wrong; 0 where none
/// was asked for.
#[allow(clippy::too_many_arguments)] // what is judged, and the three ways in which it is said
pub fn record_judgement(
    rec: &mut Recorder,
    step: &Uniform,
    logits: &Tensor,
    label: Labels,
    loss: &Tensor,
    hit: &Tensor,
    verdict: &Tensor,
) -> Result<()> {
    let (args, form) = (Args { batch: label.batch as u32, ..args(logits) }, Form::of(&rec.gpu, logits, 2)?);
    let binds = bind! { args: &args, step: step, logits: logits, label: label.tensor, loss: loss, hit: hit,
    verdict: verdict };
    rec.dispatch(&form.fit(JUDGE, 1.0, Share::WHOLE), binds, form.groups(), 6 * logits.len() as u64)
}

fn args(logits: &Tensor) -> Args {
    let [classes, cols] = [logits.shape[0] as u32, logits.shape[1] as u32];
    Args { classes, cols, smoothing: 0.0, sharpness: 1.0, weight: 1.0, adds: 0, batch: 1 }
}

impl Args {
    /// Whether the label of a column counts.
    fn counts(&self, step: &Step, label: &[u32], col: usize) -> bool {
        (col as u32) % self.batch < step.live && label[col] != IGNORED
    }
}

/// One column: how unlikely each class is, its probability, and the arg max (ties to the lower class).
struct Column {
    /// `-log p`.
    surprise: Vec<f64>,
    p: Vec<f64>,
    best: usize,
}

fn column(args: &Args, logits: &[f32], col: usize) -> Column {
    let sharp = |&v: &f32| v as f64 * args.sharpness as f64;
    let values: Vec<f64> = logits[col..].iter().step_by(args.cols as usize).map(sharp).collect();
    let peak = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = values.iter().map(|v| (v - peak).exp()).sum();
    let log_total = peak + total.ln();
    let best = (0..values.len()).fold(0, |best, k| if values[k] > values[best] { k } else { best });
    let surprise = values.iter().map(|v| log_total - v).collect();
    Column { surprise, p: values.iter().map(|v| (v - peak).exp() / total).collect(), best }
}

fn twin_hard(t: &Twin) {
    let args: Args = t.get("args");
    let label = t.u32("label");
    let off = args.smoothing as f64 / args.classes as f64;
    let target = |k: usize, col: usize| {
        if k as u32 == label[col] { 1.0 - args.smoothing as f64 + off } else { off }
    };
    let best = gradient(t, target);
    hits(t, &best);
}

fn twin_mixed(t: &Twin) {
    let (args, step, mix): (Args, Step, Mix) = (t.get("args"), t.get("step"), t.get("mix_of"));
    let label = t.u32("label");
    let (classes, smoothing, share) = (args.classes as f64, args.smoothing as f64, mix.share as f64);
    let target = |k: usize, col: usize| {
        let at = col % args.batch as usize;
        let other = label[col - at + partner(&mix, &step, at)];
        let one = |is: bool, share: f64| if is { share } else { 0.0 };
        let own = one(k as u32 == label[col], share) + one(k as u32 == other, 1.0 - share);
        smoothing / classes + (1.0 - smoothing) * own
    };
    let best = gradient(t, target);
    hits(t, &best);
}

fn twin_soft(t: &Twin) {
    let args: Args = t.get("args");
    let soft = t.f32("soft");
    let best = gradient(t, |k, col| soft[k * args.cols as usize + col] as f64);
    hits(t, &best);
}

fn gradient(t: &Twin, target: impl Fn(usize, usize) -> f64) -> Vec<usize> {
    let (args, step): (Args, Step) = (t.get("args"), t.get("step"));
    let (logits, label) = (t.f32("logits"), t.u32("label"));
    let (mut d_logits, mut losses) = (t.f32_mut("d_logits"), t.f32_mut("loss"));
    let cols = args.cols as usize;
    let (sharpness, answers) = (args.sharpness as f64 * args.weight as f64, f64::from(step.together));
    let mut all = Vec::new();
    for col in 0..cols {
        let live = args.counts(&step, &label, col);
        let Column { surprise, p, best } = column(&args, &logits, col);
        let loss: f64 = surprise.iter().enumerate().map(|(k, surprise)| target(k, col) * surprise).sum();
        for (k, p) in p.iter().enumerate() {
            d_logits[k * cols + col] =
                if live { ((p - target(k, col)) * sharpness / answers) as f32 } else { 0.0 };
        }
        let before = if args.adds == 1 { losses[col] as f64 } else { 0.0 };
        losses[col] = if live { (loss * args.weight as f64 + before) as f32 } else { 0.0 };
        all.push(best);
    }
    all
}

fn hits(t: &Twin, best: &[usize]) {
    let (args, step): (Args, Step) = (t.get("args"), t.get("step"));
    let label = t.u32("label");
    let mut hit = t.u32_mut("hit");
    for (col, &best) in best.iter().enumerate() {
        hit[col] = u32::from(args.counts(&step, &label, col) && best as u32 == label[col]);
    }
}

fn twin_judge(t: &Twin) {
    let (args, step): (Args, Step) = (t.get("args"), t.get("step"));
    let (logits, label) = (t.f32("logits"), t.u32("label"));
    let (mut losses, mut verdict) = (t.f32_mut("loss"), t.f32_mut("verdict"));
    let cols = args.cols as usize;
    let mut all = Vec::new();
    for col in 0..cols {
        let Column { surprise, p, best } = column(&args, &logits, col);
        let live = args.counts(&step, &label, col);
        // Of the label alone, as a class that is impossible has no finite logarithm.
        let own = (label[col] as usize).min(surprise.len() - 1);
        losses[col] = if live { surprise[own] as f32 } else { 0.0 };
        let (batch, right) = (args.batch as usize, best as u32 == label[col]);
        if col % batch < step.live as usize {
            let at = (step.first as usize + col % batch) * (cols / batch) + col / batch;
            let sure = if right { p[best] as f32 } else { -p[best] as f32 };
            verdict[at] = if live { sure } else { 0.0 };
        }
        all.push(best);
    }
    drop((losses, verdict));
    hits(t, &all);
}
