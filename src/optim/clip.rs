//! Gradients of all parameters together, scaled so that their norm is at most a bound.   Pascanu et al. 2013, Algorithm 1.
//!
//! As PyTorch's `clip_grad_norm_`. Of what is trained: pruned weights do not count, so that masked and packed storage have
//! the same norm. Where the norm is not a number, gradients stay as they are: the weights tell whose it is.

use super::joint::{Joint, Part};
use super::rule::is_kept;
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance, Trial};
use crate::gpu::{Dtype, Kernel, Recorder, Tensor, Twin};
use crate::ops::groups;
use crate::param::MaskMode;
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/optim/clip.wgsl`.
    pub struct Args { len: u32, mode: u32, first_part: u32, workgroups: u32, clip: f32 }
}

const ADD: Kernel = Kernel::own(source!("optim/clip"), twin_add).entry("add").proven();
const FIND: Kernel = Kernel::own(source!("optim/clip"), twin_find).entry("find").proven();
const SCALE: Kernel = Kernel::own(source!("optim/clip"), twin_scale).entry("scale").proven();
const WG: usize = 64;
/// Gradients of one workgroup, but that there are no more than [`MOST`].
const EACH: usize = 4096;
/// Workgroups of one segment, at most: what they leave to add is little.
const MOST: usize = 256;
/// What PyTorch adds to the norm.
const LEAST: f64 = 1e-6;

/// Records the scaling of all gradients that `joints` are updated by.
pub fn record(rec: &mut Recorder, joints: &[Joint], clip: f32) -> Result<()> {
    let parts = joints.iter().flat_map(|joint| joint.parts.iter().map(|part| (part, joint.mode)));
    record_parts(rec, &parts.collect::<Vec<_>>(), clip).map(|_| ())
}

/// Returns the factor.
fn record_parts(rec: &mut Recorder, all: &[(&Part, MaskMode)], clip: f32) -> Result<Tensor> {
    let mut count = 0;
    let args = |(part, mode): &(&Part, MaskMode)| {
        let workgroups = part.grad.len().div_ceil(EACH).min(MOST) as u32;
        count += workgroups;
        let (len, mode) = (part.grad.len() as u32, *mode as u32);
        Args { len, mode, first_part: count - workgroups, workgroups, clip }
    };
    let args: Vec<Args> = all.iter().map(args).collect();
    let sums = rec.gpu.tensor("squares of gradients", Dtype::F32, &[count as usize])?;
    let factor = rec.gpu.tensor("factor of gradients", Dtype::F32, &[1])?;
    for ((part, _), args) in all.iter().zip(&args) {
        let binds = bind! { args: args, grad: &part.grad, mask: &part.mask, parts: &sums };
        rec.dispatch(&ADD, binds, args.workgroups.into(), 2 * part.weights as u64)?;
    }
    let of_all = Args { len: count, clip, ..Default::default() };
    rec.dispatch(&FIND, bind! { args: &of_all, parts: &sums, factor: &factor }, 1, count.into())?;
    for ((part, _), args) in all.iter().zip(&args) {
        let binds = bind! { args: args, factor: &factor, scaled: &part.grad };
        let row = groups(part.grad.len().div_ceil(4), WG);
        rec.dispatch(&SCALE, binds, row, part.weights as u64)?;
    }
    Ok(factor)
}

/// A segment's sum stands in its first part: how it is divided is the device's affair.
fn twin_add(t: &Twin) {
    let args: Args = t.get("args");
    let (grad, mask) = (t.f32("grad"), t.u32("mask"));
    let counted = (0..grad.len()).filter(|i| is_kept(args.mode, &mask, *i));
    let sum: f64 = counted.map(|i| f64::from(grad[i]).powi(2)).sum();
    let own = args.first_part as usize..(args.first_part + args.workgroups) as usize;
    let mut parts = t.f32_mut("parts");
    parts[own.clone()].fill(0.0);
    parts[own].iter_mut().take(1).for_each(|part| *part = sum as f32);
}

fn twin_find(t: &Twin) {
    let args: Args = t.get("args");
    let sum: f64 = t.f32("parts").iter().map(|&part| f64::from(part)).sum();
    let by = f64::from(args.clip) / (sum.sqrt() + LEAST);
    // 1 where the sum is not a number.
    t.f32_mut("factor")[0] = by.min(1.0) as f32;
}

fn twin_scale(t: &Twin) {
    let factor = t.f32("factor")[0];
    if factor != 1.0 {
        t.f32_mut("scaled").iter_mut().for_each(|g| *g *= factor);
    }
}

pub fn checks() -> Vec<Check> {
    let one = |mode: MaskMode| {
        Check::new(format!("optim/clip ({mode:?})"), move |t, n| {
            // Below and above the norm of up to 34,000 gradients.
            [0.5, 300.0].into_iter().try_for_each(|clip| check(t, n, mode, clip))
        })
    };
    let odd = Check::new("optim/clip (odd)", check_odd);
    [MaskMode::Free, MaskMode::Held].map(one).into_iter().chain([odd]).collect()
}

fn part(t: &mut Trial, grad: Tensor) -> Result<Part> {
    let mask = t.bits("mask", grad.len().div_ceil(32).max(1))?;
    Ok(Part { weight: grad.clone(), weights: grad.len(), grad, mask, slots: Vec::new() })
}

fn check(t: &mut Trial, n: usize, mode: MaskMode, clip: f32) -> Result<()> {
    let mut parts = Vec::new();
    for len in [n * 65, n, n * 65] {
        let grad = t.input("grad", &[len])?;
        // The root of a sum by trees, and a quotient.
        t.compare(&grad, Tolerance { abs: 1e-7, rel: 4e-6 });
        parts.push(part(t, grad)?);
    }
    let all: Vec<_> = parts.iter().map(|part| (part, mode)).collect();
    let factor = record_parts(&mut t.rec, &all, clip)?;
    t.compare(&factor, Tolerance { abs: 1e-7, rel: 4e-6 });
    Ok(())
}

/// A norm that is NaN, and one that is infinite.
fn check_odd(t: &mut Trial, n: usize) -> Result<()> {
    for value in [f32::NAN, f32::INFINITY, 1e30] {
        let mut values = t.values(n + 1);
        values[n / 2] = value;
        let grad = t.gpu.upload_f32("grad", &[n + 1], &values)?;
        t.compare_odd(&grad, Tolerance::ROUNDING);
        let part = part(t, grad)?;
        let factor = record_parts(&mut t.rec, &[(&part, MaskMode::Free)], 0.5)?;
        t.compare(&factor, Tolerance::EXACT);
    }
    Ok(())
}
