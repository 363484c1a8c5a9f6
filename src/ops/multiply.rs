//! Products, number by number: gates, and their gradients.

use super::groups;
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance, Trial};
use crate::gpu::{Dtype, Kernel, Recorder, Tensor, Twin};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/multiply.wgsl`.
    pub struct Args { quads: u32 }
}

/// By whether the product is added.
const MULTIPLY: [Kernel; 2] = [
    Kernel::own(source!("ops/multiply"), |t| twin(t, false)).proven(),
    Kernel::own(source!("ops/multiply"), |t| twin(t, true)).with(&[("ADDS", 1.0)]).proven(),
];
const WG: usize = 256;

/// `y = a b`, or `+=` if `adds`: all of one shape.
pub fn record(rec: &mut Recorder, a: &Tensor, b: &Tensor, y: &Tensor, adds: bool) -> Result<()> {
    let quads = y.len().div_ceil(4);
    let binds = bind! { args: &Args { quads: quads as u32 }, a: a, b: b, y: y };
    rec.dispatch(&MULTIPLY[usize::from(adds)], binds, groups(quads, WG), y.len() as u64)
}

fn twin(t: &Twin, adds: bool) {
    let (a, b) = (t.f32("a"), t.f32("b"));
    for ((y, &a), &b) in t.f32_mut("y").iter_mut().zip(a.iter()).zip(b.iter()) {
        *y = if adds { *y + a * b } else { a * b };
    }
}

pub fn checks() -> Vec<Check> {
    let plain = Check::new("ops/multiply", |t: &mut Trial, n| {
        let (a, b, more) = (t.input("a", &[n])?, t.input("b", &[n])?, t.input("more", &[n])?);
        let y = t.output("y", &[n], Tolerance::EXACT)?;
        t.compare(&more, Tolerance::ROUNDING);
        record(&mut t.rec, &a, &b, &y, false)?;
        record(&mut t.rec, &a, &b, &more, true)
    });
    let odd = Check::new("ops/multiply (odd)", |t: &mut Trial, n| {
        let (a, b) = (t.odd_input("a", n, 0, false)?, t.odd_input("b", n, 1, false)?);
        let y = t.gpu.tensor("y", Dtype::F32, &[n])?;
        t.compare_odd(&y, Tolerance::EXACT);
        record(&mut t.rec, &a, &b, &y, false)
    });
    vec![plain, odd]
}
