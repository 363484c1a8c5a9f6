//! A running mean or sum of the gradients of every step, dense: what SNFS grows by and what SNIP sums up.

use crate::error::Result;
use crate::gpu::check::{Check, Tolerance};
use crate::gpu::{Kernel, Recorder, Tensor, Twin};
use crate::ops::groups;
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/sparsity/mean.wgsl`.
    pub struct Args { quads: u32, decay: f32, share: f32 }
}

const MAIN: Kernel = Kernel::own(source!("sparsity/mean"), twin).proven();
const WG: usize = 64;

/// `mean = decay * mean + share * grad`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    pub decay: f32,
    pub share: f32,
}

/// Adds the gradient of this step.
pub fn record(rec: &mut Recorder, rule: Rule, grad: &Tensor, mean: &Tensor) -> Result<()> {
    let quads = mean.len().div_ceil(4);
    let args = Args { quads: quads as u32, decay: rule.decay, share: rule.share };
    let binds = bind! { args: &args, grad: grad, mean: mean };
    rec.dispatch(&MAIN, binds, groups(quads, WG), 3 * mean.len() as u64)
}

fn twin(t: &Twin) {
    let args: Args = t.get("args");
    let (grad, mut mean) = (t.f32("grad"), t.f32_mut("mean"));
    mean.iter_mut().zip(grad.iter()).for_each(|(m, g)| *m = args.decay * *m + args.share * g);
}

pub fn checks() -> Vec<Check> {
    vec![Check::new("sparsity/mean", |t, n| {
        let (grad, mean) = (t.input("grad", &[n])?, t.input("mean", &[n])?);
        // Two products and a sum of numbers below 1, perhaps fused.
        t.compare(&mean, Tolerance { abs: 3e-7, rel: 3e-7 });
        record(&mut t.rec, Rule { decay: 0.9, share: 0.1 }, &grad, &mean)
    })]
}
