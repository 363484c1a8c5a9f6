//! Channels scaled by gates, each the same at every site: what squeeze-and-excitation ends with.   Hu et al. 2018.

use super::groups;
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance, Trial};
use crate::gpu::{Kernel, Recorder, Tensor, Twin};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/scale.wgsl`.
    pub struct Args { len: u32, sites: u32, quads: u32 }
}

const MAIN: [Kernel; 2] = [
    Kernel::own(source!("ops/scale"), |t| twin_main(t, false)).proven(),
    Kernel::own(source!("ops/scale"), |t| twin_main(t, true)).with(&[("ADDS", 1.0)]).proven(),
];
const WG: usize = 64;

/// `y` (channels, sites of a batch) = `x` times `gate` (channels, batch), or `+=` if `adds`. The gradient of x is the same of
/// that of y; that of the gate is [`super::sites::record_products`].
pub fn record(rec: &mut Recorder, x: &Tensor, gate: &Tensor, y: &Tensor, adds: bool) -> Result<()> {
    let sites = if gate.is_empty() { 1 } else { x.len() / gate.len() };
    let args = Args { len: (y.len() / 4) as u32, sites: sites as u32, quads: (gate.shape[1] / 4) as u32 };
    let binds = bind! { args: &args, x: x, gate: gate, y: y };
    rec.dispatch(&MAIN[usize::from(adds)], binds, groups(y.len() / 4, WG), y.len() as u64)
}

/// The number of a gate that scales number `i` of x.
fn gate_of(args: &Args, i: usize) -> usize {
    let batch = 4 * args.quads as usize;
    i / (args.sites as usize * batch) * batch + i % batch
}

fn twin_main(t: &Twin, adds: bool) {
    let (args, x, gate): (Args, _, _) = (t.get("args"), t.f32("x"), t.f32("gate"));
    for (i, y) in t.f32_mut("y").iter_mut().enumerate() {
        let value = x[i] * gate[gate_of(&args, i)];
        *y = if adds { *y + value } else { value };
    }
}

pub fn checks() -> Vec<Check> {
    let shapes = |n: usize| {
        let (channels, sites, batch) = (n.min(67), 1 + n % 50, 4 * (1 + n % 3));
        [[channels, sites * batch], [channels, batch]]
    };
    vec![Check::new("ops/scale", move |t: &mut Trial, n| {
        let [whole, each] = shapes(n);
        let (x, gate, more) = (t.input("x", &whole)?, t.input("gate", &each)?, t.input("more", &whole)?);
        let y = t.output("y", &whole, Tolerance::EXACT)?;
        t.compare(&more, Tolerance::ROUNDING);
        record(&mut t.rec, &x, &gate, &y, false)?;
        record(&mut t.rec, &x, &gate, &more, true)
    })]
}
