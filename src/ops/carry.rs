//! What a recurrent layer begins a window with, and what it leaves to the next one: truncated backpropagation through time.

use super::groups;
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance, Trial};
use crate::gpu::{Kernel, Recorder, Tensor, Twin, Uniform};
use crate::ops::Step;
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/carry.wgsl`.
    pub struct Args { len: u32, quads: u32 }
}

const fn kernel(entry: &'static str, twin: fn(&Twin)) -> Kernel {
    Kernel::own(source!("ops/carry"), twin).entry(entry).proven()
}

const CLEAR: Kernel = kernel("clear", twin_clear);
const OPEN: Kernel = kernel("open", twin_open);
const LEAVE: Kernel = kernel("leave", twin_leave);
const WG: usize = 64;

/// Of a state (units, batch).
fn args(state: &Tensor) -> Args {
    Args { len: (state.len() / 4) as u32, quads: (state.shape[1] / 4) as u32 }
}

/// `state` = 0, or, where something is carried, that: 0 as well in the first batch of an epoch.
pub fn record_begin(
    rec: &mut Recorder,
    step: &Uniform,
    carried: Option<&Tensor>,
    state: &Tensor,
) -> Result<()> {
    let (args, groups) = (args(state), groups(state.len() / 4, WG));
    match carried {
        None => rec.dispatch(&CLEAR, bind! { args: &args, state: state }, groups, 0),
        Some(carried) => {
            let binds = bind! { args: &args, step: step, carried: carried, state: state };
            rec.dispatch(&OPEN, binds, groups, 0)
        }
    }
}

/// `carried = state`, and 0 in columns without a sample.
pub fn record_leave(rec: &mut Recorder, step: &Uniform, state: &Tensor, carried: &Tensor) -> Result<()> {
    let binds = bind! { args: &args(state), step: step, last: state, left: carried };
    rec.dispatch(&LEAVE, binds, groups(state.len() / 4, WG), 0)
}

fn twin_clear(t: &Twin) {
    t.f32_mut("state").fill(0.0);
}

fn twin_open(t: &Twin) {
    let step: Step = t.get("step");
    match step.first {
        0 => t.f32_mut("state").fill(0.0),
        _ => t.f32_mut("state").copy_from_slice(&t.f32("carried")),
    }
}

fn twin_leave(t: &Twin) {
    let (args, step): (Args, Step) = (t.get("args"), t.get("step"));
    let (last, batch) = (t.f32("last"), 4 * args.quads as usize);
    for (i, left) in t.f32_mut("left").iter_mut().enumerate() {
        *left = if i % batch < step.live as usize { last[i] } else { 0.0 };
    }
}

pub fn checks() -> Vec<Check> {
    let step = |t: &Trial, first: u32, live: usize| {
        t.gpu.uniform("step", &Step { first, live: live as u32, ..Step::default() })
    };
    let shape = |n: usize| [n, 12];
    vec![
        Check::new("ops/carry:clear", move |t: &mut Trial, n| {
            let (state, step) = (t.input("state", &shape(n))?, step(t, 8, 12)?);
            t.compare(&state, Tolerance::EXACT);
            record_begin(&mut t.rec, &step, None, &state)
        }),
        Check::new("ops/carry:open", move |t: &mut Trial, n| {
            for first in [0, 12] {
                let (state, step) = (t.input("state", &shape(n))?, step(t, first, 12)?);
                let carried = t.odd_input("carried", 12 * n, 0, true)?.first(&shape(n));
                t.compare_odd(&state, Tolerance::EXACT);
                record_begin(&mut t.rec, &step, Some(&carried), &state)?;
            }
            Ok(())
        }),
        Check::new("ops/carry:leave", move |t: &mut Trial, n| {
            for live in [1, 6, 12] {
                let (carried, step) = (t.input("carried", &shape(n))?, step(t, 0, live)?);
                let state = t.odd_input("state", 12 * n, 1, true)?.first(&shape(n));
                t.compare_odd(&carried, Tolerance::EXACT);
                record_leave(&mut t.rec, &step, &state, &carried)?;
            }
            Ok(())
        }),
    ]
}
