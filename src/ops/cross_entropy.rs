//! Softmax cross-entropy with hard or soft targets, its gradient, and the right answers.

use super::mixup::{Mix, partner};
use super::{Step, groups};
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance, Trial};
use crate::gpu::{Dtype, Kernel, Recorder, Tensor, Twin, Uniform};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/cross_entropy.wgsl`.
    pub struct Args { classes: u32, cols: u32, smoothing: f32, sharpness: f32, weight: f32, adds: u32, batch: u32 }
}

const TEMPERED: &[(&str, f64)] = &[("TEMPERED", 1.0)];
const WEIGHTED: &[(&str, f64)] = &[("WEIGHTED", 1.0)];
const BOTH: &[(&str, f64)] = &[("TEMPERED", 1.0), ("WEIGHTED", 1.0)];
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
    let cols = logits.shape[1];
    let flops = 8 * logits.len() as u64;
    let mut args = args(logits);
    (args.weight, args.adds) = (share.weight, share.adds as u32);
    match target {
        Target::Hard { label, smoothing, temperature } => {
            (args.smoothing, args.sharpness) = (smoothing, 1.0 / temperature);
            args.batch = label.batch as u32;
            let binds = bind! { args: &args, step: step, logits: logits, label: label.tensor,
            d_logits: d_logits, loss: loss, hit: hit };
            rec.dispatch(&fitted(HARD, temperature, share), binds, groups(cols, WG), flops)
        }
        Target::Mixed { label, smoothing, temperature, mix } => {
            (args.smoothing, args.sharpness) = (smoothing, 1.0 / temperature);
            args.batch = label.batch as u32;
            let binds = bind! { args: &args, step: step, logits: logits, label: label.tensor, mix_of: mix,
            d_logits: d_logits, loss: loss, hit: hit };
            rec.dispatch(&fitted(MIXED, temperature, share), binds, groups(cols, WG), flops)
        }
        Target::Soft { label, soft } => {
            args.batch = label.batch as u32;
            let binds = bind! { args: &args, step: step, logits: logits, label: label.tensor, soft: soft,
            d_logits: d_logits, loss: loss, hit: hit };
            let kernel = if share == Share::WHOLE { BY_SOFT } else { BY_SOFT.with(WEIGHTED) };
            rec.dispatch(&kernel, binds, groups(cols, WG), flops)
        }
    }
}

/// A kernel without what it need not do.
fn fitted(kernel: Kernel, temperature: f32, share: Share) -> Kernel {
    match (temperature == 1.0, share == Share::WHOLE) {
        (true, true) => kernel,
        (false, true) => kernel.with(TEMPERED),
        (true, false) => kernel.with(WEIGHTED),
        (false, false) => kernel.with(BOTH),
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
    let (args, cols) = (Args { batch: label.batch as u32, ..args(logits) }, logits.shape[1]);
    let binds = bind! { args: &args, step: step, logits: logits, label: label.tensor, loss: loss, hit: hit,
    verdict: verdict };
    rec.dispatch(&JUDGE, binds, groups(cols, WG), 6 * logits.len() as u64)
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

pub fn checks() -> Vec<Check> {
    vec![
        Check::new("ops/cross_entropy:hard", |t, n| {
            check(t, n, Case::Hard { temperature: 1.0, share: Share::WHOLE })
        }),
        Check::new("ops/cross_entropy:hard (temperature)", |t, n| {
            check(t, n, Case::Hard { temperature: 5.0, share: Share::WHOLE })
        }),
        Check::new("ops/cross_entropy:hard (weight)", |t, n| {
            check(t, n, Case::Hard { temperature: 1.0, share: Share { weight: 0.3, adds: false } })
        }),
        Check::new("ops/cross_entropy:hard (weight, temperature, adds)", |t, n| {
            check(t, n, Case::Hard { temperature: 5.0, share: Share { weight: 0.3, adds: true } })
        }),
        Check::new("ops/cross_entropy:mixed", |t, n| {
            check(t, n, Case::Mixed { temperature: 1.0, share: Share::WHOLE })
        }),
        Check::new("ops/cross_entropy:mixed (weight, temperature, adds)", |t, n| {
            check(t, n, Case::Mixed { temperature: 5.0, share: Share { weight: 0.3, adds: true } })
        }),
        Check::new("ops/cross_entropy:judge", |t, n| check(t, n, Case::Judge)),
        Check::new("ops/cross_entropy:by_soft", |t, n| check(t, n, Case::Soft)),
        Check::new("ops/cross_entropy (steps)", check_steps),
        Check::new("ops/cross_entropy (odd)", check_odd),
    ]
}

enum Case {
    Hard { temperature: f32, share: Share },
    Mixed { temperature: f32, share: Share },
    Judge,
    Soft,
}

const CLASSES: usize = 7;

fn check(t: &mut Trial, cols: usize, case: Case) -> Result<()> {
    let logits = t.input("logits", &[CLASSES, cols])?;
    let hit = check_of(t, &logits, (cols, cols.saturating_sub(1).max(1)), case, Trial::compare)?;
    t.compare(&hit, Tolerance::EXACT);
    Ok(())
}

/// Sequences, some of whose labels do not count.
fn check_steps(t: &mut Trial, batch: usize) -> Result<()> {
    for case in [Case::Hard { temperature: 1.0, share: Share::WHOLE }, Case::Judge, Case::Soft] {
        let logits = t.input("logits", &[CLASSES, 3 * batch])?;
        let hit = check_of(t, &logits, (batch, batch.saturating_sub(1).max(1)), case, Trial::compare)?;
        t.compare(&hit, Tolerance::EXACT);
    }
    Ok(())
}

/// Hits are left out: which of several logits is the largest has no answer where one is NaN.
fn check_odd(t: &mut Trial, cols: usize) -> Result<()> {
    for case in [Case::Hard { temperature: 1.0, share: Share::WHOLE }, Case::Judge, Case::Soft] {
        let logits = t.odd_logits(CLASSES, cols)?;
        check_of(t, &logits, (cols, cols), case, Trial::compare_odd)?;
    }
    Ok(())
}

fn check_of(
    t: &mut Trial,
    logits: &Tensor,
    (batch, live): (usize, usize),
    case: Case,
    compare: fn(&mut Trial, &Tensor, Tolerance),
) -> Result<Tensor> {
    let [classes, cols] = [logits.shape[0], logits.shape[1]];
    let batch = batch.max(1);
    // Of one step every label counts, of several steps those below the number of classes.
    let (steps, bound) = if cols > batch { (cols / batch, classes + 2) } else { (1, classes) };
    let drawn = t.values(cols).into_iter().map(|value| ((value + 1.0) / 2.0 * bound as f32) as u32);
    let words: Vec<u32> = drawn.map(|k| if (k as usize) < classes { k } else { IGNORED }).collect();
    let asked = |&(col, &k): &(usize, &u32)| col % batch < live && k != IGNORED;
    let answers = words.iter().enumerate().filter(asked).count() as u32;
    let step = Step { first: 5, live: live as u32, together: 2 * answers, ..Default::default() };
    let step = t.gpu.uniform("step", &step)?;
    let label = Labels { tensor: &t.gpu.upload_u32("label", &[cols], &words)?, batch };
    let soft = t.input("soft", &[classes, cols])?;
    // exp and log differ by a few units in the last place from device to device.
    let close = Tolerance { abs: 3e-6, rel: 3e-6 };
    let d_logits = t.gpu.tensor("d_logits", Dtype::F32, &[classes, cols])?;
    compare(t, &d_logits, close);
    let loss = t.input("loss", &[cols])?;
    compare(t, &loss, Tolerance { abs: 2e-5, rel: 3e-6 });
    let hit = t.gpu.tensor("hit", Dtype::U32, &[cols])?;
    match case {
        Case::Hard { temperature, share } => {
            let target = Target::Hard { label, smoothing: 0.1, temperature };
            record(&mut t.rec, &step, logits, target, share, &d_logits, &loss, &hit)
        }
        Case::Mixed { temperature, share } => {
            let mix = t.gpu.uniform("mix_of", &Mix { share: 0.7, shift: live as u32 / 2 })?;
            let target = Target::Mixed { label, smoothing: 0.1, temperature, mix: &mix };
            record(&mut t.rec, &step, logits, target, share, &d_logits, &loss, &hit)
        }
        Case::Judge => {
            let verdict = t.gpu.tensor("verdict", Dtype::F32, &[(5 + live) * steps])?;
            compare(t, &verdict, close);
            record_judgement(&mut t.rec, &step, logits, label, &loss, &hit, &verdict)
        }
        Case::Soft => record(
            &mut t.rec,
            &step,
            logits,
            Target::Soft { label, soft: &soft },
            Share { weight: 2.0, adds: true },
            &d_logits,
            &loss,
            &hit,
        ),
    }?;
    Ok(hit)
}
