//! One step of a GRU beside its products, forward and backward, as PyTorch and cuDNN have it: the reset gate scales the
//! product, bias included.   Cho et al. 2014. Gates in PyTorch's order: r, z, n.

use super::cell::{Args, CLOSE, Cell, Place, in_place, sigmoid, sum};
use crate::error::Result;
use crate::gpu::check::{Check, Trial};
use crate::gpu::{Dtype, Kernel, Recorder, Tensor, Twin};
use crate::{bind, source};

const FORWARD: Kernel = Kernel::own(source!("ops/gru"), twin_forward).entry("forward").proven();
const BACKWARD: Kernel = Kernel::own(source!("ops/gru"), twin_backward).entry("backward").proven();

/// What a sequence leaves to its backward pass.
#[derive(Clone, Copy)]
pub struct Kept<'a> {
    /// (4 units, time batch): r, z, n's share of the product, n; after the backward pass the gradients of the product's
    /// three parts, and of what x adds to the last.
    pub gates: &'a Tensor,
    /// (units, time batch): what each step began with.
    pub h_before: &'a Tensor,
}

/// Step `at`: `state` (units, batch), h, moves on, and goes to `y` (units, time batch). `x`: (3 units, time batch), `product`:
/// (3 units, batch), the weight times h plus the bias. `kept` is written if a backward pass follows.
#[expect(clippy::too_many_arguments, reason = "each is a tensor of the formula")]
pub fn record_forward(
    rec: &mut Recorder,
    cell: Cell,
    at: usize,
    x: &Tensor,
    product: &Tensor,
    state: &Tensor,
    kept: Kept,
    keeps: bool,
    y: &Tensor,
) -> Result<()> {
    let Kept { gates, h_before } = kept;
    let binds = bind! {
        args: &cell.args(at, keeps), x: x, product: product, state: state, gates: gates, h_before: h_before, y: y
    };
    cell.dispatch(rec, &FORWARD, binds, 9 + if keeps { 5 } else { 0 }, 25)
}

/// Backward through step `at`: to `kept.gates`, and to `d_product` (3 units, batch). `d_h` and `d_past`: (units, batch), the
/// gradient of h by the later step's product and past it; `d_past` goes on to the earlier step. Both count for nothing if this is
/// the `first` step of the backward pass.
#[expect(clippy::too_many_arguments, reason = "each is a tensor of the formula")]
pub fn record_backward(
    rec: &mut Recorder,
    cell: Cell,
    at: usize,
    first: bool,
    kept: Kept,
    d_y: &Tensor,
    [d_h, d_past]: [&Tensor; 2],
    d_product: &Tensor,
) -> Result<()> {
    let binds = bind! {
        args: &cell.args(at, first), gates: kept.gates, h_then: kept.h_before, d_y: d_y, d_h: d_h, d_past: d_past,
        d_product: d_product
    };
    cell.dispatch(rec, &BACKWARD, binds, 16, 25)
}

fn twin_forward(t: &Twin) {
    let args: Args = t.get("args");
    let (x, product, mut state) = (t.f32("x"), t.f32("product"), t.f32_mut("state"));
    let (mut gates, mut h_before, mut y) = (t.f32_mut("gates"), t.f32_mut("h_before"), t.f32_mut("y"));
    Place::each(&args, |place| {
        let [r, z] = [0, 1].map(|line| sigmoid(sum(x[place.then(line)], product[place.now(line)])));
        let m = product[place.now(2)];
        let n = (f64::from(x[place.then(2)]) + r * f64::from(m)).tanh();
        let before = state[place.now(0)];
        let h = ((1.0 - z) * n + z * f64::from(before)) as f32;
        if args.flag != 0 {
            h_before[place.then(0)] = before;
            let kept = [r as f32, z as f32, m, n as f32];
            kept.into_iter().enumerate().for_each(|(line, gate)| gates[place.then(line)] = gate);
        }
        (state[place.now(0)], y[place.then(0)]) = (h, h);
    });
}

fn twin_backward(t: &Twin) {
    let args: Args = t.get("args");
    let (mut gates, before, d_y) = (t.f32_mut("gates"), t.f32("h_then"), t.f32("d_y"));
    let (d_h, mut d_past, mut d_product) = (t.f32("d_h"), t.f32_mut("d_past"), t.f32_mut("d_product"));
    Place::each(&args, |place| {
        let [r, z, m, n] = [0, 1, 2, 3].map(|line| f64::from(gates[place.then(line)]));
        let of_h = f64::from(d_y[place.then(0)])
            + place.later(d_h[place.now(0)])
            + place.later(d_past[place.now(0)]);
        d_past[place.now(0)] = (of_h * z) as f32;
        let d_n = of_h * (1.0 - z) * (1.0 - n * n);
        let d_z = of_h * (f64::from(before[place.then(0)]) - n) * z * (1.0 - z);
        let all = [d_n * m * r * (1.0 - r), d_z, d_n * r, d_n].map(|d| d as f32);
        all.into_iter().enumerate().for_each(|(line, d)| gates[place.then(line)] = d);
        all[..3].iter().enumerate().for_each(|(line, d)| d_product[place.now(line)] = *d);
    });
}

pub fn checks() -> Vec<Check> {
    let forward = |t: &mut Trial, n: usize, odd: bool, keeps: bool| -> Result<()> {
        for (cell, at) in Cell::checked(n) {
            let of = |t: &Trial, lines| t.gpu.tensor("out", Dtype::F32, &cell.of_all(lines));
            let x = match odd {
                true => t.odd_input("x", cell.of_all(3).iter().product(), 0, true)?.first(&cell.of_all(3)),
                false => t.input("x", &cell.of_all(3))?,
            };
            let (product, state) =
                (t.input("product", &cell.of_step(3))?, t.input("state", &cell.of_step(1))?);
            let (gates, h_before, y) = (of(t, 4)?, of(t, 1)?, of(t, 1)?);
            [&gates, &h_before, &y, &state].into_iter().for_each(|tensor| match odd {
                true => t.compare_odd(tensor, CLOSE),
                false => t.compare(tensor, CLOSE),
            });
            let kept = Kept { gates: &gates, h_before: &h_before };
            record_forward(&mut t.rec, cell, at, &x, &product, &state, kept, keeps, &y)?;
        }
        Ok(())
    };
    let backward = |t: &mut Trial, n: usize| -> Result<()> {
        for ((cell, at), first) in Cell::checked(n).into_iter().zip([false, true, false]) {
            let gates = in_place(t, "gates", &cell.of_all(4))?;
            let h_before = t.input("h_before", &cell.of_all(1))?;
            let kept = Kept { gates: &gates, h_before: &h_before };
            let (d_y, d_h) = (t.input("d_y", &cell.of_all(1))?, t.input("d_h", &cell.of_step(1))?);
            let d_past = in_place(t, "d_past", &cell.of_step(1))?;
            let d_product = t.output("d_product", &cell.of_step(3), CLOSE)?;
            record_backward(&mut t.rec, cell, at, first, kept, &d_y, [&d_h, &d_past], &d_product)?;
        }
        Ok(())
    };
    vec![
        Check::new("ops/gru:forward", move |t: &mut Trial, n| forward(t, n, false, true)),
        Check::new("ops/gru:forward (evaluation)", move |t: &mut Trial, n| forward(t, n, false, false)),
        Check::new("ops/gru:forward (odd)", move |t: &mut Trial, n| forward(t, n, true, true)),
        Check::new("ops/gru:backward", backward),
    ]
}
