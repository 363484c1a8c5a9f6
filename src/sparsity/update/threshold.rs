//! Soft thresholds that are learned, one a layer: what is smaller is pruned, what is larger shrinks by as much.
//!
//! STR (Kusupati et al., 2020, "Soft threshold weight reparameterization for learnable sparsity", equations 4 to 7):
//! the forward pass sees `sign(w) max(|w| - sigmoid(s), 0)`.

use crate::error::Result;
use crate::gpu::check::{Check, Tolerance};
use crate::gpu::{Kernel, Recorder, Tensor, Twin, Uniform};
use crate::ops::tally::Totals;
use crate::ops::{Step, groups};
use crate::param::Param;
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/sparsity/update/threshold.wgsl`.
    pub struct Args { quads: u32, first: u32 }
}
wgsl_struct! {
    /// See `shaders/sparsity/update/descend.wgsl`.
    pub struct Descent { count: u32, decay: f32 }
}

const FORWARD: Kernel = Kernel::own(source!("sparsity/update/threshold"), twin_forward).entry("forward");
const BACKWARD: Kernel = Kernel::own(source!("sparsity/update/threshold"), twin_backward).entry("backward");
const DESCEND: Kernel = Kernel::own(source!("sparsity/update/descend"), twin_descend);
const WG: usize = 64;

/// Where thresholds begin and how they decay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// s before the first step.
    pub start: f32,
    /// Weight decay of s.
    pub decay: f32,
}

/// Writes the mask, and what the forward pass sees of `source`; adds weights that are not numbers to `counts[0]`.
pub fn record_forward(
    rec: &mut Recorder,
    threshold: &Tensor,
    source: &Tensor,
    mask: &Tensor,
    weight: &Tensor,
    counts: &Tensor,
) -> Result<()> {
    let args = Args { quads: source.len().div_ceil(4) as u32, first: 0 };
    let binds = bind! {
        args: &args, threshold: threshold, source: source, mask: mask, weight: weight, counts: counts
    };
    rec.dispatch(&FORWARD, binds, groups(source.len().div_ceil(32), WG), 3 * source.len() as u64)
}

/// Numbers that [`record_backward`] writes for a tensor of `len` elements.
pub fn partials(len: usize) -> usize {
    len.div_ceil(4).div_ceil(WG)
}

/// Sets `d_weight` to 0 where nothing is kept, and writes sums of `d_weight * sign(source)` to `partial`, from `first`.
pub fn record_backward(
    rec: &mut Recorder,
    (source, mask, d_weight): (&Tensor, &Tensor, &Tensor),
    partial: &Tensor,
    first: usize,
) -> Result<()> {
    let args = Args { quads: source.len().div_ceil(4) as u32, first: first as u32 };
    let binds = bind! { args: &args, source: source, kept_bits: mask, d_weight: d_weight, partial: partial };
    rec.dispatch(&BACKWARD, binds, partials(source.len()) as u64, 2 * source.len() as u64)
}

/// As [`record_backward`], for all segments of a parameter.
pub fn record_blocks(rec: &mut Recorder, param: &Param, partial: &Tensor) -> Result<()> {
    let mut first = 0;
    for (segment, values) in param.segments.iter().zip(param.stored()) {
        record_backward(rec, (values, &segment.mask, &segment.grad), partial, first)?;
        first += partials(segment.weight.len());
    }
    Ok(())
}

/// The threshold's own step.
pub fn record_descend(
    rec: &mut Recorder,
    decay: f32,
    partial: &Tensor,
    threshold: &Tensor,
    (step, totals): (&Uniform, &Tensor),
) -> Result<()> {
    let args = Descent { count: partial.len() as u32, decay };
    let binds = bind! { args: &args, step: step, partial: partial, totals: totals, threshold: threshold };
    rec.dispatch(&DESCEND, binds, 1, partial.len() as u64)
}

fn sigmoid(x: f32) -> f64 {
    1.0 / (1.0 + (-f64::from(x)).exp())
}

fn twin_forward(t: &Twin) {
    let cut = sigmoid(t.f32("threshold")[0]) as f32;
    let (source, mut mask, mut weight) = (t.f32("source"), t.u32_mut("mask"), t.f32_mut("weight"));
    let mut counts = t.u32_mut("counts");
    mask.fill(0);
    for (i, (w, &v)) in weight.iter_mut().zip(source.iter()).enumerate() {
        mask[i / 32] |= u32::from(v.abs() > cut) << (i % 32);
        *w = if v.abs() > cut { v.signum() * (v.abs() - cut) } else { 0.0 };
        counts[0] += u32::from(v.is_nan());
    }
}

fn twin_backward(t: &Twin) {
    let args: Args = t.get("args");
    let (source, mask, mut d_weight) = (t.f32("source"), t.u32("kept_bits"), t.f32_mut("d_weight"));
    let mut partial = t.f32_mut("partial");
    for (number, part) in (0..source.len()).step_by(4 * WG).enumerate() {
        let mut sum = 0.0;
        for i in part..(part + 4 * WG).min(source.len()) {
            if mask[i / 32] >> (i % 32) & 1 == 1 {
                sum += f64::from(d_weight[i]) * f64::from(source[i].signum());
            } else {
                d_weight[i] = 0.0;
            }
        }
        partial[args.first as usize + number] = sum as f32;
    }
}

fn twin_descend(t: &Twin) {
    let (args, step): (Descent, Step) = (t.get("args"), t.get("step"));
    if t.u32("totals")[4] != 0 {
        return;
    }
    let (partial, mut threshold) = (t.f32("partial"), t.f32_mut("threshold"));
    let sum: f64 = partial.iter().map(|&part| f64::from(part)).sum();
    let s = threshold[0];
    let slope = sigmoid(s) * (1.0 - sigmoid(s));
    threshold[0] = (f64::from(s) - f64::from(step.rate) * (f64::from(args.decay * s) - slope * sum)) as f32;
}

pub fn checks() -> Vec<Check> {
    let one = |s: f32| {
        Check::new(format!("sparsity/update/threshold (s = {s})"), move |t, n| {
            let source = t.input("source", &[n])?;
            let threshold = t.gpu.upload_f32("threshold", &[1], &[s])?;
            let mask = t.output_u32("mask", &[n.div_ceil(32)])?;
            // A sigmoid of some roundings, and a difference of numbers up to 1.
            let weight = t.output("weight", &[n], Tolerance { abs: 1e-6, rel: 0.0 })?;
            let counts = t.output_u32("counts", &[1])?;
            let d_weight = t.input("d_weight", &[n])?;
            t.compare(&d_weight, Tolerance::EXACT);
            let partial = t.output("partial", &[partials(n)], Tolerance::sum(4 * WG))?;
            record_forward(&mut t.rec, &threshold, &source, &mask, &weight, &counts)?;
            record_backward(&mut t.rec, (&source, &mask, &d_weight), &partial, 0)
        })
    };
    let descend = |broken: u32| {
        Check::new(format!("sparsity/update/descend (flag {broken})"), move |t, n| {
            let step = t.gpu.uniform("step", &Step { rate: 0.1, ..Default::default() })?;
            let mut words = [0; Totals::WORDS];
            words[4] = broken;
            let totals = t.gpu.upload_u32("totals", &[words.len()], &words)?;
            let partial = t.input("partial", &[n])?;
            let threshold = t.gpu.upload_f32("threshold", &[1], &[-1.5])?;
            t.compare(&threshold, Tolerance::sum(n));
            record_descend(&mut t.rec, 0.01, &partial, &threshold, (&step, &totals))
        })
    };
    vec![one(-1.0), one(0.5), one(-3200.0), descend(0), descend(3)]
}
