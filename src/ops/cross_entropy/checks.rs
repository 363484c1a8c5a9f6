//! The kernels of cross-entropy, held against their twins.

use super::{IGNORED, Labels, Share, Target, record, record_judgement};
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance, Trial};
use crate::gpu::{Dtype, Tensor};
use crate::ops::Step;
use crate::ops::mixup::Mix;

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
        Check::new("ops/cross_entropy (many classes)", check_many),
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

/// A column by several invocations, some of which have one class more than others.
fn check_many(t: &mut Trial, cols: usize) -> Result<()> {
    // Twins of so many are slow: two sizes, of one workgroup and of two.
    let (classes, cols) = match cols {
        3 => (4097, 3),
        63 => (4099, 9),
        _ => return Ok(()),
    };
    let share = Share { weight: 0.3, adds: true };
    for case in [
        Case::Hard { temperature: 5.0, share: Share::WHOLE },
        Case::Mixed { temperature: 1.0, share },
        Case::Judge,
        Case::Soft,
    ] {
        let logits = t.input("logits", &[classes, cols])?;
        let hit = check_of(t, &logits, (cols, cols - 1), case, Trial::compare)?;
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
    // A sum over the classes of terms up to 10 and of either sign, each of them rounded.
    let abs = 2e-5 + if classes > CLASSES { 1e-6 * classes as f32 } else { 0.0 };
    compare(t, &loss, Tolerance { abs, rel: 3e-6 });
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
