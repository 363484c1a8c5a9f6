//! ReLU by itself; linear layers fuse it.

use super::groups;
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance, Trial};
use crate::gpu::{Kernel, Recorder, Tensor, Twin};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/relu.wgsl`.
    pub struct Args { len: u32 }
}

const FORWARD: Kernel = Kernel::own(source!("ops/relu"), twin_forward).entry("forward");
const BACKWARD: Kernel = Kernel::own(source!("ops/relu"), twin_backward).entry("backward");
const WG: usize = 256;

/// `y = max(x, 0)`, any shape.
pub fn record_forward(rec: &mut Recorder, x: &Tensor, y: &Tensor) -> Result<()> {
    let args = Args { len: x.len() as u32 };
    rec.dispatch(&FORWARD, bind! { args: &args, x: x, y: y }, groups(x.len(), WG), x.len() as u64)
}

/// `d_x = d_y` where `y > 0`, else 0.
pub fn record_backward(rec: &mut Recorder, y: &Tensor, d_y: &Tensor, d_x: &Tensor) -> Result<()> {
    let args = Args { len: y.len() as u32 };
    let binds = bind! { args: &args, activated: y, d_y: d_y, d_x: d_x };
    rec.dispatch(&BACKWARD, binds, groups(y.len(), WG), y.len() as u64)
}

fn twin_forward(t: &Twin) {
    let x = t.f32("x");
    for (y, &x) in t.f32_mut("y").iter_mut().zip(x.iter()) {
        *y = x.max(0.0);
    }
}

fn twin_backward(t: &Twin) {
    let (y, d_y) = (t.f32("activated"), t.f32("d_y"));
    for ((d_x, &d_y), &y) in t.f32_mut("d_x").iter_mut().zip(d_y.iter()).zip(y.iter()) {
        *d_x = if y > 0.0 { d_y } else { 0.0 };
    }
}

pub fn checks() -> Vec<Check> {
    vec![
        Check::new("ops/relu:forward", |t: &mut Trial, n| {
            let x = t.input("x", &[n])?;
            let y = t.output("y", &[n], Tolerance::EXACT)?;
            record_forward(&mut t.rec, &x, &y)
        }),
        Check::new("ops/relu:backward", |t: &mut Trial, n| {
            let (y, d_y) = (t.input("y", &[n])?, t.input("d_y", &[n])?);
            let d_x = t.output("d_x", &[n], Tolerance::EXACT)?;
            record_backward(&mut t.rec, &y, &d_y, &d_x)
        }),
    ]
}
