//! Zeros behind a held mask, and the effective weight of a latent one.

use crate::error::Result;
use crate::gpu::check::{Check, Tolerance};
use crate::gpu::{Kernel, Recorder, Tensor, Twin};
use crate::ops::groups;
use crate::param::Param;
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/sparsity/update/hold.wgsl`.
    pub struct Args { quads: u32 }
}

const IN_PLACE: Kernel =
    Kernel::own(source!("sparsity/update/hold"), twin_in_place).entry("in_place").proven();
const EFFECTIVE: Kernel =
    Kernel::own(source!("sparsity/update/hold"), twin_effective).entry("effective").proven();
const WG: usize = 64;

/// Sets `values` to 0 where `mask` has no bit.
pub fn record_in_place(rec: &mut Recorder, mask: &Tensor, values: &Tensor) -> Result<()> {
    let quads = values.len().div_ceil(4);
    let args = Args { quads: quads as u32 };
    rec.dispatch(&IN_PLACE, bind! { args: &args, mask: mask, values: values }, groups(quads, WG), 0)
}

/// `values = source` where `mask` has a bit, else 0.
pub fn record_effective(rec: &mut Recorder, mask: &Tensor, source: &Tensor, values: &Tensor) -> Result<()> {
    let quads = values.len().div_ceil(4);
    let args = Args { quads: quads as u32 };
    let binds = bind! { args: &args, mask: mask, source: source, values: values };
    rec.dispatch(&EFFECTIVE, binds, groups(quads, WG), 0)
}

/// Sets an optimizer's slots of one segment to 0 for weights that it does not move.
pub fn record_slots(rec: &mut Recorder, param: &Param, segment: usize) -> Result<()> {
    let mask = param.trained()[segment];
    param.slots().try_for_each(|slot| record_in_place(rec, mask, &slot.tensors()[segment]))
}

fn twin_in_place(t: &Twin) {
    let mask = t.u32("mask");
    for (i, value) in t.f32_mut("values").iter_mut().enumerate() {
        if mask[i / 32] >> (i % 32) & 1 == 0 {
            *value = 0.0;
        }
    }
}

fn twin_effective(t: &Twin) {
    let (mask, source) = (t.u32("mask"), t.f32("source"));
    for (i, value) in t.f32_mut("values").iter_mut().enumerate() {
        *value = if mask[i / 32] >> (i % 32) & 1 == 1 { source[i] } else { 0.0 };
    }
}

pub fn checks() -> Vec<Check> {
    vec![
        Check::new("sparsity/update/hold:in_place", |t, n| {
            let mask = t.bits("mask", n.div_ceil(32))?;
            let values = t.input("values", &[n])?;
            t.compare(&values, Tolerance::EXACT);
            record_in_place(&mut t.rec, &mask, &values)
        }),
        Check::new("sparsity/update/hold:effective", |t, n| {
            let (mask, source) = (t.bits("mask", n.div_ceil(32))?, t.input("source", &[n])?);
            let values = t.output("values", &[n], Tolerance::EXACT)?;
            record_effective(&mut t.rec, &mask, &source, &values)
        }),
    ]
}
