//! A running mean or sum of the gradients of every step, dense: what SNFS grows by and what SNIP sums up.
//!
//! It has a number for every place of a weight, however that is stored, and segments of rows where it exceeds a binding.

use std::ops::Range;

use crate::error::Result;
use crate::gpu::check::{Check, Tolerance};
use crate::gpu::{Kernel, Recorder, Tensor, Twin};
use crate::ops::groups;
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/sparsity/score/mean.wgsl`.
    pub struct Args { quads: u32, decay: f32, share: f32 }
}

const MAIN: Kernel = Kernel::own(source!("sparsity/score/mean"), twin).proven();
const WG: usize = 64;

/// `mean = decay * mean + share * grad`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    pub decay: f32,
    pub share: f32,
}

/// A copy.
pub const COPY: Rule = Rule { decay: 0.0, share: 1.0 };

/// Adds the gradient of this step.
pub fn record(rec: &mut Recorder, rule: Rule, grad: &Tensor, mean: &Tensor) -> Result<()> {
    let quads = mean.len().div_ceil(4);
    let args = Args { quads: quads as u32, decay: rule.decay, share: rule.share };
    let binds = bind! { args: &args, grad: grad, mean: mean };
    rec.dispatch(&MAIN, binds, groups(quads, WG), 3 * mean.len() as u64)
}

/// Adds the gradient of some rows. They begin and end as tiles do: on multiples of 64, or where the weight does.
pub fn record_rows(
    rec: &mut Recorder,
    rule: Rule,
    rows: Range<usize>,
    grad: &Tensor,
    mean: &[Tensor],
) -> Result<()> {
    let each = &mut shared(mean, rows).into_iter();
    each.try_for_each(|(own, among)| record(rec, rule, &grad.rows(among), &own))
}

/// Copies some rows of a mean.
pub fn record_copy(rec: &mut Recorder, mean: &[Tensor], rows: Range<usize>, to: &Tensor) -> Result<()> {
    let each = &mut shared(mean, rows).into_iter();
    each.try_for_each(|(own, among)| record(rec, COPY, &own, &to.rows(among)))
}

/// What each segment has of `rows`, and where among them that lies.
fn shared(mean: &[Tensor], rows: Range<usize>) -> Vec<(Tensor, Range<usize>)> {
    let (mut all, mut first) = (Vec::new(), 0);
    for segment in mean {
        let end = first + segment.shape[0];
        let own = rows.start.max(first)..rows.end.min(end);
        if !own.is_empty() {
            let among = own.start - rows.start..own.end - rows.start;
            all.push((segment.rows(own.start - first..own.end - first), among));
        }
        first = end;
    }
    all
}

fn twin(t: &Twin) {
    let args: Args = t.get("args");
    let (grad, mut mean) = (t.f32("grad"), t.f32_mut("mean"));
    for (m, g) in mean.iter_mut().zip(grad.iter()) {
        let before = if args.decay == 0.0 { 0.0 } else { args.decay * *m };
        *m = before + args.share * g;
    }
}

pub fn checks() -> Vec<Check> {
    let plain = Check::new("sparsity/score/mean", |t, n| {
        let (grad, mean) = (t.input("grad", &[n])?, t.input("mean", &[n])?);
        // Two products and a sum of numbers below 1, perhaps fused.
        t.compare(&mean, Tolerance { abs: 3e-7, rel: 3e-7 });
        record(&mut t.rec, Rule { decay: 0.9, share: 0.1 }, &grad, &mean)
    });
    // Segments of 128 rows and of n more; rows from the middle of the first on are added to and copied.
    let rows = Check::new("sparsity/score/mean:rows", |t, n| {
        let segments = [t.input("mean", &[128, 3])?, t.input("mean", &[n + 1, 3])?];
        let own = 64..129 + n;
        let (grad, copy) = (t.input("grad", &[own.len(), 3])?, t.input("copy", &[own.len(), 3])?);
        segments.iter().for_each(|segment| t.compare(segment, Tolerance { abs: 3e-7, rel: 3e-7 }));
        t.compare(&copy, Tolerance { abs: 3e-7, rel: 3e-7 });
        record_rows(&mut t.rec, Rule { decay: 0.9, share: 0.1 }, own.clone(), &grad, &segments)?;
        record_copy(&mut t.rec, &segments, own, &copy)
    });
    vec![plain, rows]
}
