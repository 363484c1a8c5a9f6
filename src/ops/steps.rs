//! The steps of sequences: some of them, others beside them, numbers added to each.
//!
//! Values are (channels, steps, batch), columns (steps, batch).

use super::groups;
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance, Trial};
use crate::gpu::{Kernel, Recorder, Tensor, Twin};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/steps.wgsl`.
    pub struct Args {
        quads: u32, batch_quads: u32, steps: u32, x_steps: u32, skip: u32, rows: u32, stride: u32
    }
}

const fn kernel(entry: &'static str, twin: fn(&Twin)) -> Kernel {
    Kernel::own(source!("ops/steps"), twin).entry(entry).proven()
}

/// By whether the result is added.
const TAKE: [Kernel; 2] =
    [kernel("take", |t| twin_take(t, false)), kernel("take", |t| twin_take(t, true)).with(&[("ADDS", 1.0)])];
const PLACE: [Kernel; 2] = [
    kernel("place", |t| twin_place(t, false)),
    kernel("place", |t| twin_place(t, true)).with(&[("ADDS", 1.0)]),
];
const SHIFT: Kernel = kernel("shift", twin_shift);
const SUMS: Kernel = kernel("sums", twin_sums);
const WG: usize = 256;
/// Rows of a workgroup that adds them up.
const ROWS: usize = 16;

/// Samples of a batch, and the steps of what is read and of what is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Steps {
    pub batch: usize,
    pub x: usize,
    pub y: usize,
}

impl Steps {
    fn args(&self, y: &Tensor, skip: usize) -> Args {
        Args {
            quads: (y.len() / 4) as u32,
            batch_quads: (self.batch / 4) as u32,
            steps: self.y as u32,
            x_steps: self.x as u32,
            skip: skip as u32,
            ..Args::default()
        }
    }

    /// `y` is the steps of `x` from `skip` on, or they are added to it.
    pub fn record_take(
        &self,
        rec: &mut Recorder,
        x: &Tensor,
        y: &Tensor,
        skip: usize,
        adds: bool,
    ) -> Result<()> {
        let binds = bind! { args: &self.args(y, skip), x: x, y: y };
        rec.dispatch(&TAKE[usize::from(adds)], binds, groups(y.len() / 4, WG), y.len() as u64)
    }

    /// `y` has the steps of `x` from its step `skip` on, and elsewhere `fill`, a number a channel; or all that is added to it.
    pub fn record_place(
        &self,
        rec: &mut Recorder,
        x: &Tensor,
        fill: &Tensor,
        y: &Tensor,
        skip: usize,
        adds: bool,
    ) -> Result<()> {
        let binds = bind! { args: &self.args(y, skip), x: x, fill: fill, y: y };
        rec.dispatch(&PLACE[usize::from(adds)], binds, groups(y.len() / 4, WG), y.len() as u64)
    }
}

/// `y = x + table`, a number for each channel and step.
pub fn record_shift(rec: &mut Recorder, batch: usize, x: &Tensor, table: &Tensor, y: &Tensor) -> Result<()> {
    let args =
        Args { quads: (y.len() / 4) as u32, batch_quads: (batch / 4) as u32, steps: 1, ..Args::default() };
    let binds = bind! { args: &args, x: x, table: table, y: y };
    rec.dispatch(&SHIFT, binds, groups(y.len() / 4, WG), y.len() as u64)
}

/// The sums over the batch of every `stride`th row of `d_y`, a row having one step of one channel.
pub fn record_sums(
    rec: &mut Recorder,
    batch: usize,
    d_y: &Tensor,
    stride: usize,
    d_table: &Tensor,
) -> Result<()> {
    let args = Args {
        batch_quads: (batch / 4) as u32,
        rows: d_table.len() as u32,
        stride: stride as u32,
        ..Args::default()
    };
    let binds = bind! { args: &args, d_y: d_y, d_table: d_table };
    rec.dispatch(&SUMS, binds, groups(d_table.len(), ROWS), (d_table.len() * batch) as u64)
}

/// Of each number of y: channel, step and sample.
fn places(args: &Args) -> impl Iterator<Item = [usize; 3]> {
    let (batch, steps) = (4 * args.batch_quads as usize, args.steps as usize);
    (0..4 * args.quads as usize).map(move |i| [i / batch / steps, i / batch % steps, i % batch])
}

fn twin_take(t: &Twin, adds: bool) {
    let args: Args = t.get("args");
    let (x, mut y) = (t.f32("x"), t.f32_mut("y"));
    for ([channel, step, sample], y) in places(&args).zip(y.iter_mut()) {
        let row = channel * args.x_steps as usize + step + args.skip as usize;
        let value = x[row * 4 * args.batch_quads as usize + sample];
        *y = if adds { *y + value } else { value };
    }
}

fn twin_place(t: &Twin, adds: bool) {
    let args: Args = t.get("args");
    let (x, fill, mut y) = (t.f32("x"), t.f32("fill"), t.f32_mut("y"));
    for ([channel, step, sample], y) in places(&args).zip(y.iter_mut()) {
        let from = step.checked_sub(args.skip as usize).filter(|&from| from < args.x_steps as usize);
        let value = from.map_or(fill[channel], |from| {
            x[(channel * args.x_steps as usize + from) * 4 * args.batch_quads as usize + sample]
        });
        *y = if adds { *y + value } else { value };
    }
}

fn twin_shift(t: &Twin) {
    let args: Args = t.get("args");
    let (x, table, mut y) = (t.f32("x"), t.f32("table"), t.f32_mut("y"));
    let batch = 4 * args.batch_quads as usize;
    y.iter_mut().zip(x.iter()).enumerate().for_each(|(i, (y, &x))| *y = x + table[i / batch]);
}

fn twin_sums(t: &Twin) {
    let args: Args = t.get("args");
    let (d_y, mut d_table) = (t.f32("d_y"), t.f32_mut("d_table"));
    let batch = 4 * args.batch_quads as usize;
    for (row, sum) in d_table.iter_mut().enumerate() {
        let own = &d_y[row * args.stride as usize * batch..][..batch];
        *sum = own.iter().map(|&d| f64::from(d)).sum::<f64>() as f32;
    }
}

pub fn checks() -> Vec<Check> {
    // Steps before, between and behind those that are taken.
    let steps = |n: usize| Steps { batch: 4 * (1 + n % 5), x: 2 + n % 6, y: 1 + n % 3 };
    let take = Check::new("ops/steps:take", move |t: &mut Trial, n| {
        let own = Steps { x: 5, ..steps(n) };
        let x = t.input("x", &[n, 5 * own.batch])?;
        let (y, more) = (t.output("y", &[n, own.y * own.batch], Tolerance::EXACT)?, [n, own.y * own.batch]);
        let more = t.input("more", &more)?;
        t.compare(&more, Tolerance::EXACT);
        own.record_take(&mut t.rec, &x, &y, 1, false)?;
        own.record_take(&mut t.rec, &x, &more, 2, true)
    });
    let place = Check::new("ops/steps:place", move |t: &mut Trial, n| {
        let own = Steps { y: 9, ..steps(n) };
        let (x, fill) = (t.input("x", &[n, own.x * own.batch])?, t.input("fill", &[n])?);
        let y = t.output("y", &[n, 9 * own.batch], Tolerance::EXACT)?;
        let more = t.input("more", &y.shape)?;
        t.compare(&more, Tolerance::EXACT);
        own.record_place(&mut t.rec, &x, &fill, &y, 1, false)?;
        own.record_place(&mut t.rec, &x, &fill, &more, 0, true)
    });
    let shift = Check::new("ops/steps:shift", move |t: &mut Trial, n| {
        let Steps { batch, x, .. } = steps(n);
        let (value, table) = (t.input("x", &[n, x * batch])?, t.input("table", &[n, x])?);
        let y = t.output("y", &[n, x * batch], Tolerance::EXACT)?;
        record_shift(&mut t.rec, batch, &value, &table, &y)
    });
    // More quads than lanes share a row.
    let sums = Check::new("ops/steps:sums", move |t: &mut Trial, n| {
        let (batch, stride) = (4 * (1 + n % 41), 1 + n % 3);
        let d_y = t.input("d_y", &[n * stride, batch])?;
        let sums = t.output("d_table", &[n], Tolerance::sum(batch))?;
        record_sums(&mut t.rec, batch, &d_y, stride, &sums)
    });
    vec![take, place, shift, sums]
}
