//! The softmax over the keys of each query, in the place of the scores, and its gradient.

use super::{Args, Attention, Mask, Sizes};
use crate::error::Result;
use crate::gpu::{Kernel, Recorder, Tensor, Twin};
use crate::ops::lengths::Versions;
use crate::ops::{Step, groups};
use crate::{bind, source};

const fn kernel(entry: &'static str, twin: fn(&Twin)) -> Kernel {
    Kernel::own(source!("ops/attention/softmax"), twin).entry(entry).proven()
}

const fn differentiate(twin: fn(&Twin), constants: &'static [(&'static str, f64)]) -> Versions {
    Versions::of(kernel("differentiate", twin).with(constants), "ops/attention/softmax:differentiate")
}

const SOFTMAX: Versions = Versions::of(kernel("main", twin_softmax), "ops/attention/softmax:main");
const DELTA: Kernel = Versions::of(kernel("delta", twin_delta), "ops/attention/softmax:delta").whole;
/// By whether some probabilities are dropped.
const DIFFERENTIATE: [Versions; 2] = [
    differentiate(|t| twin_differentiate(t, false), &[]),
    differentiate(|t| twin_differentiate(t, true), &[("DROPS", 1.0)]),
];
const WG: usize = 64;

pub fn kernels() -> Vec<Kernel> {
    [&SOFTMAX.all()[..], &[DELTA], &DIFFERENTIATE[0].all()].concat()
}

/// Scores become probabilities.
pub fn record(rec: &mut Recorder, of: &Attention, p: &Tensor) -> Result<()> {
    let rows = of.heads * of.queries * of.batch / 4;
    let binds = bind! { args: &of.args(), p: p };
    SOFTMAX.dispatch(rec, of.lengths, binds, groups(rows, WG), 5 * of.pairs())
}

/// The sum of `d_y y` over the channels of a head.
pub fn record_delta(
    rec: &mut Recorder,
    of: &Attention,
    y: &Tensor,
    d_y: &Tensor,
    delta: &Tensor,
) -> Result<()> {
    let rows = of.heads * of.queries * of.batch / 4;
    let binds = bind! { args: &of.args(), y: y, d_y: d_y, delta_out: delta };
    rec.dispatch(&DELTA, binds, groups(rows, WG), 2 * y.len() as u64)
}

/// Gradients of what dropout left of the probabilities become those of scores.
pub fn record_differentiate(
    rec: &mut Recorder,
    of: &Attention,
    probabilities: &Tensor,
    delta: &Tensor,
    d: &Tensor,
) -> Result<()> {
    let binds = bind! {
        args: &of.args(), step: of.step, probabilities: probabilities, delta_in: delta, d: d
    };
    let all = of.scores().iter().product::<usize>() / 4;
    let kernels = &DIFFERENTIATE[usize::from(of.dropout.is_some())];
    kernels.dispatch(rec, of.lengths, binds, groups(all, WG), 3 * of.pairs())
}

fn twin_softmax(t: &Twin) {
    let args: Args = t.get("args");
    let (sizes, mask, mut p) = (Sizes::of(&args), Mask::of(t, &args), t.f32_mut("p"));
    for at in sizes.rows() {
        let open = |key: &usize| mask.attends(at, *key);
        let score = |p: &[f32], key: usize| f64::from(p[sizes.pair(at, key)]);
        let keys = 0..args.end_of(at[1]);
        let largest = keys.clone().filter(open).map(|key| score(&p, key)).fold(f64::MIN, f64::max);
        let part = |p: &[f32], key: usize| if open(&key) { (score(p, key) - largest).exp() } else { 0.0 };
        let sum: f64 = keys.clone().map(|key| part(&p, key)).sum();
        for key in keys {
            p[sizes.pair(at, key)] = if sum == 0.0 { 0.0 } else { (part(&p, key) / sum) as f32 };
        }
    }
}

fn twin_delta(t: &Twin) {
    let args: Args = t.get("args");
    let (y, d_y, mut delta) = (t.f32("y"), t.f32("d_y"), t.f32_mut("delta_out"));
    let sizes = Sizes::of(&args);
    for (at, delta) in sizes.rows().zip(delta.iter_mut()) {
        let product = |channel| {
            let i = sizes.query(at, channel);
            f64::from(y[i]) * f64::from(d_y[i])
        };
        *delta = (0..sizes.depth).map(product).sum::<f64>() as f32;
    }
}

fn twin_differentiate(t: &Twin, drops: bool) {
    let (args, step): (Args, Step) = (t.get("args"), t.get("step"));
    let (probabilities, delta, mut d) = (t.f32("probabilities"), t.f32("delta_in"), t.f32_mut("d"));
    let (sizes, mask) = (Sizes::of(&args), Mask::of(t, &args));
    for (row, at) in sizes.rows().enumerate() {
        for key in 0..args.end_of(at[1]) {
            let i = sizes.pair(at, key);
            let d_p = f64::from(d[i]) * if drops { args.factor(&step, i) } else { 1.0 };
            let value = f64::from(probabilities[i]) * (d_p - f64::from(delta[row])) * f64::from(args.scale);
            d[i] = if mask.attends(at, key) { value as f32 } else { 0.0 };
        }
    }
}
