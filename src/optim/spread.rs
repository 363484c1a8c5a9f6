//! Mean and deviation of the magnitudes of a whole tensor's gradient, which an update of one segment does not see.
//!
//! Of what is trained: pruned weights do not count, so that masked and packed storage have the same. The deviation is
//! that of the numbers themselves, divided by how many they are. Weight decay is part of the gradient.

use super::joint::Part;
use super::rule::{Target, is_kept};
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance};
use crate::gpu::{Dtype, Kernel, Recorder, Tensor, Twin};
use crate::ops::Step;
use crate::param::MaskMode;
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/optim/spread.wgsl`.
    pub struct Args { len: u32, mode: u32, first_part: u32, workgroups: u32, weight_decay: f32 }
}

const ADD: Kernel = Kernel::own(source!("optim/spread"), twin_add).entry("add").proven();
const MEAN: Kernel = Kernel::own(source!("optim/spread"), twin_mean).entry("mean").proven();
const ADD_SQUARES: Kernel =
    Kernel::own(source!("optim/spread"), twin_add_squares).entry("add_squares").proven();
const DEVIATION: Kernel = Kernel::own(source!("optim/spread"), twin_deviation).entry("deviation").proven();
/// Weights of one workgroup, but that there are no more than [`MOST`].
const EACH: usize = 4096;
/// Workgroups of one segment, at most: what they leave to add is little.
const MOST: usize = 256;

/// Records mean and deviation over all segments of a parameter: the first two numbers of the result.
pub fn record(rec: &mut Recorder, targets: &[Target], weight_decay: f32) -> Result<Tensor> {
    let workgroups = |target: &Target| target.part.weight.len().div_ceil(EACH).min(MOST);
    let all: usize = targets.iter().map(workgroups).sum();
    let parts = rec.gpu.tensor("parts of the spread", Dtype::F32, &[all, 2])?;
    let spread = rec.gpu.tensor("spread of the gradient", Dtype::F32, &[3])?;
    let mut first = 0;
    let args = |target: &Target| {
        let own = workgroups(target) as u32;
        first += own;
        let (len, mode) = (target.part.weight.len() as u32, target.mode as u32);
        Args { len, mode, first_part: first - own, workgroups: own, weight_decay }
    };
    let parts_of: Vec<(&Part, Args)> = targets.iter().map(|t| t.part).zip(targets.iter().map(args)).collect();
    let of_all = Args { len: all as u32, ..Default::default() };
    let flops = |part: &Part| 4 * part.weight.len() as u64;
    for (part, args) in &parts_of {
        let binds =
            bind! { args: args, grad: &part.grad, weight: &part.weight, mask: &part.mask, parts: &parts };
        rec.dispatch(&ADD, binds, args.workgroups.into(), flops(part))?;
    }
    rec.dispatch(&MEAN, bind! { args: &of_all, parts: &parts, spread: &spread }, 1, 2 * all as u64)?;
    for (part, args) in &parts_of {
        let binds = bind! { args: args, grad: &part.grad, weight: &part.weight, mask: &part.mask,
        parts: &parts, spread: &spread };
        rec.dispatch(&ADD_SQUARES, binds, args.workgroups.into(), flops(part))?;
    }
    rec.dispatch(&DEVIATION, bind! { args: &of_all, parts: &parts, spread: &spread }, 1, all as u64)?;
    Ok(spread)
}

/// The magnitudes that count, of one segment.
fn magnitudes(t: &Twin) -> Vec<f64> {
    let args: Args = t.get("args");
    let (grad, weight, mask) = (t.f32("grad"), t.f32("weight"), t.u32("mask"));
    let counts = |i: &usize| is_kept(args.mode, &mask, *i);
    let magnitude = |i: usize| f64::from(grad[i] + args.weight_decay * weight[i]).abs();
    (0..weight.len()).filter(counts).map(magnitude).collect()
}

/// A segment's sum stands in its first part: how it is divided is the device's affair.
fn put(t: &Twin, sum: [f64; 2]) {
    let args: Args = t.get("args");
    let (first, own) = (args.first_part as usize * 2, args.workgroups as usize * 2);
    let mut parts = t.f32_mut("parts");
    if own > 0 {
        parts[first..first + own].fill(0.0);
        parts[first..first + 2].copy_from_slice(&sum.map(|sum| sum as f32));
    }
}

fn twin_add(t: &Twin) {
    let all = magnitudes(t);
    put(t, [all.iter().sum(), all.len() as f64]);
}

fn twin_add_squares(t: &Twin) {
    let mean = f64::from(t.f32("spread")[0]);
    put(t, [magnitudes(t).iter().map(|g| (g - mean).powi(2)).sum(), 0.0]);
}

fn of_all(t: &Twin) -> [f64; 2] {
    let parts = t.f32("parts");
    [0, 1].map(|k| parts.iter().skip(k).step_by(2).map(|&v| f64::from(v)).sum())
}

fn twin_mean(t: &Twin) {
    let [sum, count] = of_all(t);
    let mut spread = t.f32_mut("spread");
    (spread[0], spread[2]) = ((sum / count.max(1.0)) as f32, count as f32);
}

fn twin_deviation(t: &Twin) {
    let [sum, _] = of_all(t);
    let mut spread = t.f32_mut("spread");
    spread[1] = (sum / f64::from(spread[2]).max(1.0)).sqrt() as f32;
}

/// The checks of the optimizers that use it.
pub fn checks() -> Vec<Check> {
    let one = |mode: MaskMode| {
        Check::new(format!("optim/spread ({mode:?})"), move |t, n| {
            let mut parts = Vec::new();
            for len in [n * 65, n] {
                let (weight, grad) = (t.input("weight", &[len])?, t.input("grad", &[len])?);
                let mask = t.bits("mask", len.div_ceil(32).max(1))?;
                parts.push(Part { weight, grad, mask, slots: Vec::new(), weights: len });
            }
            let step = t.gpu.uniform("step", &Step::default())?;
            let totals = t.gpu.upload_u32("totals", &[5], &[0; 5])?;
            let (step, totals) = (&step, &totals);
            let target = |part| Target { part, mode, names: &[], step, totals, texels: false, spread: None };
            let targets: Vec<Target> = parts.iter().map(target).collect();
            let spread = record(&mut t.rec, &targets, 0.25)?;
            // Sums of up to 17,000 magnitudes by trees.
            t.compare(&spread, Tolerance { abs: 1e-6, rel: 4e-6 });
            Ok(())
        })
    };
    [MaskMode::Free, MaskMode::Held].map(one).into()
}
