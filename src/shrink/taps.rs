//! Kernel transformation: a smaller kernel is a learned function of the middle of a larger one.   Cai et al. 2020,
//! Section 3.3, "elastic kernel size".

use crate::error::Result;
use crate::gpu::check::{Check, Tolerance, Trial};
use crate::gpu::{Kernel, Recorder, Tensor, Twin};
use crate::ops::groups;
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/shrink/taps.wgsl`.
    pub struct Args { rows: u32, taps: u32, channels: u32 }
}

const APPLY: Kernel = Kernel::own(source!("shrink/taps"), |t| twin_apply(t, false)).entry("apply").proven();
const BACK: Kernel = Kernel::own(source!("shrink/taps"), |t| twin_apply(t, true))
    .entry("apply")
    .with(&[("TRANSPOSED", 1.0)])
    .proven();
const GRAD: Kernel = Kernel::own(source!("shrink/taps"), twin_grad).entry("grad").proven();
const WG: usize = 64;

/// `y = matrix x` for each row and channel; x and y (rows, height, width, channels), matrix (taps, taps).
pub fn record(rec: &mut Recorder, matrix: &Tensor, x: &Tensor, y: &Tensor) -> Result<()> {
    apply(rec, &APPLY, matrix, x, y)
}

/// `d_x = matrix^T d_y`.
pub fn record_back(rec: &mut Recorder, matrix: &Tensor, d_y: &Tensor, d_x: &Tensor) -> Result<()> {
    apply(rec, &BACK, matrix, d_y, d_x)
}

/// `d_matrix += d_y x^T`, summed over rows and channels.
pub fn record_grad(rec: &mut Recorder, x: &Tensor, d_y: &Tensor, d_matrix: &Tensor) -> Result<()> {
    let (args, flops) = of(x);
    let binds = bind! { args: &args, x: x, d_y: d_y, d_matrix: d_matrix };
    rec.dispatch(&GRAD, binds, if x.is_empty() { 0 } else { d_matrix.len() as u64 }, flops)
}

fn apply(rec: &mut Recorder, kernel: &Kernel, matrix: &Tensor, x: &Tensor, y: &Tensor) -> Result<()> {
    let (args, flops) = of(x);
    rec.dispatch(kernel, bind! { args: &args, matrix: matrix, x: x, y: y }, groups(x.len(), WG), flops)
}

fn of(x: &Tensor) -> (Args, u64) {
    let (taps, channels) = (x.shape[1] * x.shape[2], x.shape[3]);
    let args = Args { rows: x.shape[0] as u32, taps: taps as u32, channels: channels as u32 };
    (args, 2 * (x.len() * taps) as u64)
}

fn twin_apply(t: &Twin, transposed: bool) {
    let (args, matrix, x): (Args, _, _) = (t.get("args"), t.f32("matrix"), t.f32("x"));
    let (taps, channels) = (args.taps as usize, args.channels as usize);
    for (i, y) in t.f32_mut("y").iter_mut().enumerate() {
        let (row, tap, channel) = (i / (channels * taps), i / channels % taps, i % channels);
        let entry = |s: usize| matrix[if transposed { s * taps + tap } else { tap * taps + s }];
        let term = |s: usize| f64::from(entry(s)) * f64::from(x[(row * taps + s) * channels + channel]);
        *y = (0..taps).map(term).sum::<f64>() as f32;
    }
}

fn twin_grad(t: &Twin) {
    let (args, x, d_y): (Args, _, _) = (t.get("args"), t.f32("x"), t.f32("d_y"));
    let (taps, channels) = (args.taps as usize, args.channels as usize);
    let at = |i: usize, tap: usize| (i / channels * taps + tap) * channels + i % channels;
    for (entry, d_matrix) in t.f32_mut("d_matrix").iter_mut().enumerate() {
        let term = |i: usize| f64::from(d_y[at(i, entry / taps)]) * f64::from(x[at(i, entry % taps)]);
        let sum = (0..args.rows as usize * channels).map(term).sum::<f64>();
        *d_matrix = (f64::from(*d_matrix) + sum) as f32;
    }
}

pub fn checks() -> Vec<Check> {
    let taps = |n: usize| [1, 3, 5][n % 3];
    let of = move |name, record: fn(&mut Recorder, &Tensor, &Tensor, &Tensor) -> Result<()>| {
        Check::new(name, move |t: &mut Trial, n| {
            let (side, channels) = (taps(n), 1 + n % 2);
            let matrix = t.input("matrix", &[side * side, side * side])?;
            let x = t.input("x", &[n, side, side, channels])?;
            let y = t.output("y", &[n, side, side, channels], Tolerance::sum(side * side))?;
            record(&mut t.rec, &matrix, &x, &y)
        })
    };
    let grad = Check::new("shrink/taps:grad", move |t: &mut Trial, n| {
        let (side, channels) = (taps(n), 1 + n % 2);
        let [x, d_y] = ["x", "d_y"].map(|label| t.input(label, &[n, side, side, channels]));
        let d_matrix = t.input("d_matrix", &[side * side, side * side])?;
        t.compare(&d_matrix, Tolerance::sum(n * channels + 1));
        record_grad(&mut t.rec, &x?, &d_y?, &d_matrix)
    });
    vec![of("shrink/taps:apply", record), of("shrink/taps:apply (transposed)", record_back), grad]
}
