//! Pulls towards 0 that are added to the gradient: one strength for kept weights, another for pruned ones.
//!
//! SR-STE (Zhou et al., 2021, equation 7): `d_weight += lambda (1 - mask) weight`, with plus, so that pruned weights
//! shrink. Top-KAST's exploration loss (Jayakumar et al., 2020, Section 2.3) pulls both, the pruned ones more.

use crate::error::Result;
use crate::gpu::check::{Check, Tolerance};
use crate::gpu::{Kernel, Recorder, Tensor, Twin};
use crate::ops::groups;
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/sparsity/update/shrink.wgsl`.
    pub struct Args { quads: u32, inside: f32, outside: f32, signs: u32 }
}

const MAIN: Kernel = Kernel::own(source!("sparsity/update/shrink"), twin).proven();
const WG: usize = 64;

/// How strong the pull is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pull {
    /// On kept weights.
    pub inside: f32,
    /// On pruned weights.
    pub outside: f32,
    /// By the sign of a weight, in place of the weight itself.
    pub signs: bool,
}

/// Adds the pull to `d_weight`.
pub fn record(
    rec: &mut Recorder,
    pull: Pull,
    mask: &Tensor,
    weight: &Tensor,
    d_weight: &Tensor,
) -> Result<()> {
    let quads = weight.len().div_ceil(4);
    let args =
        Args { quads: quads as u32, inside: pull.inside, outside: pull.outside, signs: pull.signs as u32 };
    let binds = bind! { args: &args, mask: mask, weight: weight, d_weight: d_weight };
    rec.dispatch(&MAIN, binds, groups(quads, WG), 2 * weight.len() as u64)
}

fn twin(t: &Twin) {
    let args: Args = t.get("args");
    let (mask, weight, mut d_weight) = (t.u32("mask"), t.f32("weight"), t.f32_mut("d_weight"));
    for (i, (d, &w)) in d_weight.iter_mut().zip(weight.iter()).enumerate() {
        let strength = if mask[i / 32] >> (i % 32) & 1 == 1 { args.inside } else { args.outside };
        let sign = if w > 0.0 {
            1.0
        } else if w < 0.0 {
            -1.0
        } else {
            0.0
        };
        *d += strength * if args.signs == 1 { sign } else { w };
    }
}

pub fn checks() -> Vec<Check> {
    let one = |signs: bool| {
        Check::new(format!("sparsity/update/shrink (signs {signs})"), move |t, n| {
            let (mask, weight) = (t.bits("mask", n.div_ceil(32))?, t.input("weight", &[n])?);
            let d_weight = t.input("d_weight", &[n])?;
            // A product and a sum of numbers below 1, perhaps fused.
            t.compare(&d_weight, Tolerance { abs: 3e-7, rel: 3e-7 });
            record(&mut t.rec, Pull { inside: 0.3, outside: 0.7, signs }, &mask, &weight, &d_weight)
        })
    };
    vec![one(false), one(true)]
}
