//! Sums and copies of activations and of gradients: residual additions, concatenations, slices, values with several
//! readers.
//!
//! Tensors are f32. Lengths and offsets are whole quads, as the columns of activations are; the last quad of anything
//! else is padded.

use super::groups;
use super::relu::rectified;
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance, Trial};
use crate::gpu::{Dtype, Kernel, Recorder, Tensor, Twin};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/add.wgsl`.
    pub struct Args { quads: u32, skip: u32, at: u32, length: u32 }
}

const SUM: Kernel = Kernel::own(source!("ops/add"), twin_sum).entry("sum").proven();
const SUM_RELU: Kernel =
    Kernel::own(source!("ops/add"), twin_sum_relu).entry("sum").with(&[("RELU", 1.0)]).proven();
const COPY: Kernel = Kernel::own(source!("ops/add"), twin_copy).entry("onto").proven();
const ADD: Kernel = Kernel::own(source!("ops/add"), twin_add).entry("onto").with(&[("ADDS", 1.0)]).proven();
const PLACE: Kernel = Kernel::own(source!("ops/add"), twin_place).entry("place").proven();
const WG: usize = 64;

fn quads(values: usize) -> usize {
    values.div_ceil(4)
}

/// `y = a + b`, rectified if `relu`: all of one shape.
pub fn record_sum(rec: &mut Recorder, a: &Tensor, b: &Tensor, y: &Tensor, relu: bool) -> Result<()> {
    let args = Args { quads: quads(y.len()) as u32, ..Args::default() };
    let kernel = if relu { &SUM_RELU } else { &SUM };
    rec.dispatch(kernel, bind! { args: &args, a: a, b: b, y: y }, groups(quads(y.len()), WG), y.len() as u64)
}

/// Where numbers are taken from, and where they go: elements before the first.
#[derive(Clone, Copy, Default)]
pub struct Window {
    pub skip: usize,
    pub at: usize,
    /// How many.
    pub len: usize,
}

impl Window {
    /// All of a tensor.
    pub fn all(of: &Tensor) -> Self {
        Self { skip: 0, at: 0, len: of.len() }
    }
}

/// `y[at ..] = x[skip ..]` for a window of numbers, or `+=` if `adds`.
pub fn record(rec: &mut Recorder, x: &Tensor, y: &Tensor, window: Window, adds: bool) -> Result<()> {
    let Window { skip, at, len } = window;
    let args = Args { quads: quads(len) as u32, skip: quads(skip) as u32, at: quads(at) as u32, length: 0 };
    let kernel = if adds { &ADD } else { &COPY };
    let flops = if adds { len as u64 } else { 0 };
    rec.dispatch(kernel, bind! { args: &args, a: x, y: y }, groups(quads(len), WG), flops)?;
    // No more than the window is touched.
    rec.moves(4 * len as u64 * if adds { 3 } else { 2 });
    Ok(())
}

/// `y[at ..] = x`, and 0 before and behind.
pub fn record_place(rec: &mut Recorder, x: &Tensor, y: &Tensor, at: usize) -> Result<()> {
    let (all, length) = (quads(y.len()), quads(x.len()) as u32);
    let args = Args { quads: all as u32, skip: 0, at: quads(at) as u32, length };
    rec.dispatch(&PLACE, bind! { args: &args, a: x, y: y }, groups(all, WG), 0)
}

fn twin_sum(t: &Twin) {
    let (a, b) = (t.f32("a"), t.f32("b"));
    for ((y, &a), &b) in t.f32_mut("y").iter_mut().zip(a.iter()).zip(b.iter()) {
        *y = a + b;
    }
}

fn twin_sum_relu(t: &Twin) {
    twin_sum(t);
    t.f32_mut("y").iter_mut().for_each(|y| *y = rectified(*y));
}

fn twin_copy(t: &Twin) {
    window(t, |y, x| *y = x);
}

fn twin_add(t: &Twin) {
    window(t, |y, x| *y += x);
}

fn window(t: &Twin, with: impl Fn(&mut f32, f32)) {
    let args: Args = t.get("args");
    let (a, mut y) = (t.f32("a"), t.f32_mut("y"));
    let [from, to, len] = [args.skip, args.at, args.quads].map(|quads| quads as usize * 4);
    let len = len.min(a.len() - from).min(y.len() - to);
    y[to..to + len].iter_mut().zip(&a[from..from + len]).for_each(|(y, &x)| with(y, x));
}

fn twin_place(t: &Twin) {
    let args: Args = t.get("args");
    let (a, mut y) = (t.f32("a"), t.f32_mut("y"));
    y.fill(0.0);
    y[args.at as usize * 4..][..a.len()].copy_from_slice(&a);
}

pub fn checks() -> Vec<Check> {
    let sum = |relu: bool| {
        Check::new(if relu { "ops/add:sum (relu)" } else { "ops/add:sum" }, move |t: &mut Trial, n| {
            let (a, b) = (t.input("a", &[n])?, t.input("b", &[n])?);
            let y = t.output("y", &[n], Tolerance::EXACT)?;
            record_sum(&mut t.rec, &a, &b, &y, relu)
        })
    };
    // A window in the middle of both.
    let onto = |adds: bool| {
        Check::new(if adds { "ops/add:onto (adds)" } else { "ops/add:onto" }, move |t: &mut Trial, n| {
            let (x, y) = (t.input("x", &[n + 3, 4])?, t.input("y", &[n + 5, 4])?);
            t.compare(&y, Tolerance::EXACT);
            record(&mut t.rec, &x, &y, Window { skip: 12, at: 8, len: 4 * n }, adds)
        })
    };
    let place = Check::new("ops/add:place", |t: &mut Trial, n| {
        let x = t.input("x", &[n, 4])?;
        let y = t.input("y", &[n + 9, 4])?;
        t.compare(&y, Tolerance::EXACT);
        record_place(&mut t.rec, &x, &y, 20)
    });
    let odd = Check::new("ops/add:sum (relu, odd)", |t: &mut Trial, n| {
        let (a, b) = (t.odd_input("a", n, 0, false)?, t.odd_input("b", n, 1, false)?);
        let y = t.gpu.tensor("y", Dtype::F32, &[n])?;
        t.compare_odd(&y, Tolerance::EXACT);
        record_sum(&mut t.rec, &a, &b, &y, true)
    });
    vec![sum(false), sum(true), odd, onto(false), onto(true), place]
}
