//! ReLU by itself; linear layers fuse it.

use super::groups;
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance, Trial};
use crate::gpu::{Dtype, Kernel, Recorder, Tensor, Twin};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/relu.wgsl`.
    pub struct Args { len: u32 }
}

const FORWARD: Kernel = Kernel::own(source!("ops/relu"), twin_forward).entry("forward");
const BACKWARD: Kernel = Kernel::own(source!("ops/relu"), twin_backward).entry("backward");
const ADDS: Kernel =
    Kernel::own(source!("ops/relu"), twin_backward_adds).entry("backward").with(&[("ADDS", 1.0)]);
const GATE: Kernel = Kernel::own(source!("ops/relu"), twin_gate).entry("gate");
const WG: usize = 256;

/// `max(x, 0)`, and NaN of NaN: `f32::max` would hide it from the loss. Twins share it.
pub fn rectified(x: f32) -> f32 {
    if x <= 0.0 { 0.0 } else { x }
}

/// `y = max(x, 0)`, or NaN, any shape.
pub fn record_forward(rec: &mut Recorder, x: &Tensor, y: &Tensor) -> Result<()> {
    let args = Args { len: x.len() as u32 };
    rec.dispatch(&FORWARD, bind! { args: &args, x: x, y: y }, groups(x.len(), WG), x.len() as u64)
}

/// `d_x = d_y` where `y > 0`, else 0; or `+=` if `adds`.
pub fn record_backward(rec: &mut Recorder, y: &Tensor, d_y: &Tensor, d_x: &Tensor, adds: bool) -> Result<()> {
    let args = Args { len: y.len() as u32 };
    let binds = bind! { args: &args, activated: y, d_y: d_y, d_x: d_x };
    let kernel = if adds { &ADDS } else { &BACKWARD };
    rec.dispatch(kernel, binds, groups(y.len(), WG), y.len() as u64)
}

/// As [`record_backward`] in place: `d = 0` where `y` is not positive.
pub fn record_gate(rec: &mut Recorder, y: &Tensor, d: &Tensor) -> Result<()> {
    let args = Args { len: y.len() as u32 };
    rec.dispatch(&GATE, bind! { args: &args, activated: y, d_x: d }, groups(y.len(), WG), y.len() as u64)
}

fn twin_forward(t: &Twin) {
    let x = t.f32("x");
    for (y, &x) in t.f32_mut("y").iter_mut().zip(x.iter()) {
        *y = rectified(x);
    }
}

fn twin_backward(t: &Twin) {
    let (y, d_y) = (t.f32("activated"), t.f32("d_y"));
    for ((d_x, &d_y), &y) in t.f32_mut("d_x").iter_mut().zip(d_y.iter()).zip(y.iter()) {
        *d_x = if y > 0.0 { d_y } else { 0.0 };
    }
}

fn twin_backward_adds(t: &Twin) {
    let (y, d_y) = (t.f32("activated"), t.f32("d_y"));
    for ((d_x, &d_y), &y) in t.f32_mut("d_x").iter_mut().zip(d_y.iter()).zip(y.iter()) {
        *d_x += if y > 0.0 { d_y } else { 0.0 };
    }
}

fn twin_gate(t: &Twin) {
    let y = t.f32("activated");
    for (d, _) in t.f32_mut("d_x").iter_mut().zip(y.iter()).filter(|(_, y)| !(**y > 0.0)) {
        *d = 0.0;
    }
}

pub fn checks() -> Vec<Check> {
    vec![
        Check::new("ops/relu:forward", |t: &mut Trial, n| {
            let x = t.input("x", &[n])?;
            let y = t.output("y", &[n], Tolerance::EXACT)?;
            record_forward(&mut t.rec, &x, &y)
        }),
        Check::new("ops/relu:forward (odd)", |t: &mut Trial, n| {
            let (x, y) = (t.odd_input("x", n, 0, true)?, t.gpu.tensor("y", Dtype::F32, &[n])?);
            t.compare_odd(&y, Tolerance::EXACT);
            record_forward(&mut t.rec, &x, &y)
        }),
        Check::new("ops/relu:backward (odd)", |t: &mut Trial, n| {
            let y = t.odd_input("y", n, 0, false)?;
            let (d_y, d) = (t.odd_input("d_y", n, 1, true)?, t.odd_input("d", n, 2, true)?);
            let d_x = t.gpu.tensor("d_x", Dtype::F32, &[n])?;
            t.compare_odd(&d_x, Tolerance::EXACT);
            t.compare_odd(&d, Tolerance::EXACT);
            record_backward(&mut t.rec, &y, &d_y, &d_x, false)?;
            record_gate(&mut t.rec, &y, &d)
        }),
        Check::new("ops/relu:backward", |t: &mut Trial, n| {
            let (y, d_y) = (t.input("y", &[n])?, t.input("d_y", &[n])?);
            let d_x = t.output("d_x", &[n], Tolerance::EXACT)?;
            record_backward(&mut t.rec, &y, &d_y, &d_x, false)
        }),
        Check::new("ops/relu:backward (adds)", |t: &mut Trial, n| {
            let (y, d_y, d_x) = (t.input("y", &[n])?, t.input("d_y", &[n])?, t.input("d_x", &[n])?);
            t.compare(&d_x, Tolerance::EXACT);
            record_backward(&mut t.rec, &y, &d_y, &d_x, true)
        }),
        Check::new("ops/relu:gate", |t: &mut Trial, n| {
            let (y, d) = (t.input("y", &[n])?, t.input("d", &[n])?);
            t.compare(&d, Tolerance::EXACT);
            record_gate(&mut t.rec, &y, &d)
        }),
    ]
}
