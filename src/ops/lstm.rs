//! One step of an LSTM beside its products, forward and backward.   Hochreiter & Schmidhuber 1997; Gers, Schmidhuber &
//! Cummins 2000 (forget gate). Gates in PyTorch's order: i, f, g, o.

use super::cell::{Args, CLOSE, Cell, Place, in_place, sigmoid, sum};
use crate::error::Result;
use crate::gpu::check::{Check, Trial};
use crate::gpu::{Dtype, Kernel, Recorder, Tensor, Twin};
use crate::{bind, source};

const FORWARD: Kernel = Kernel::own(source!("ops/lstm"), twin_forward).entry("forward").proven();
const BACKWARD: Kernel = Kernel::own(source!("ops/lstm"), twin_backward).entry("backward").proven();

/// What a sequence leaves to its backward pass.
#[derive(Clone, Copy)]
pub struct Kept<'a> {
    /// (4 units, time batch): i, f, g, o; after the backward pass the gradients of what they are functions of.
    pub gates: &'a Tensor,
    /// (units, time batch): what each step began with.
    pub h_before: &'a Tensor,
    pub c_before: &'a Tensor,
}

/// Step `at`: `state` (2 units, batch), h and below it c, moves on, and h goes to `y` (units, time batch). `x`: (4 units, time
/// batch), `product`: (4 units, batch), the weight times h. `kept` is written if a backward pass follows.
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
    let Kept { gates, h_before, c_before } = kept;
    let binds = bind! {
        args: &cell.args(at, keeps), x: x, product: product, state: state, gates: gates, h_before: h_before,
        c_before: c_before, y: y
    };
    cell.dispatch(rec, &FORWARD, binds, 13 + if keeps { 6 } else { 0 }, 30)
}

/// Backward through step `at`: to `kept.gates`, and to `d_product` (4 units, batch), which holds the same. `d_h`: (units, batch),
/// the gradient of h by the later step's product. `d_c`: (units, batch), that of c, goes on to the earlier step. Both count for
/// nothing if this is the `first` step of the backward pass.
#[expect(clippy::too_many_arguments, reason = "each is a tensor of the formula")]
pub fn record_backward(
    rec: &mut Recorder,
    cell: Cell,
    at: usize,
    first: bool,
    kept: Kept,
    d_y: &Tensor,
    [d_h, d_c]: [&Tensor; 2],
    d_product: &Tensor,
) -> Result<()> {
    let binds = bind! {
        args: &cell.args(at, first), gates: kept.gates, c_then: kept.c_before, d_y: d_y, d_h: d_h, d_c: d_c,
        d_product: d_product
    };
    cell.dispatch(rec, &BACKWARD, binds, 17, 40)
}

fn twin_forward(t: &Twin) {
    let args: Args = t.get("args");
    let (x, product, mut state) = (t.f32("x"), t.f32("product"), t.f32_mut("state"));
    let (mut gates, mut y) = (t.f32_mut("gates"), t.f32_mut("y"));
    let (mut h_before, mut c_before) = (t.f32_mut("h_before"), t.f32_mut("c_before"));
    Place::each(&args, |place| {
        let sums = [0, 1, 2, 3].map(|line| sum(x[place.then(line)], product[place.now(line)]));
        let [i, f, g, o] = [sigmoid(sums[0]), sigmoid(sums[1]), sums[2].tanh(), sigmoid(sums[3])];
        let before = state[place.now(1)];
        let c = f * f64::from(before) + i * g;
        let h = (o * c.tanh()) as f32;
        if args.flag != 0 {
            h_before[place.then(0)] = state[place.now(0)];
            c_before[place.then(0)] = before;
            [i, f, g, o].iter().enumerate().for_each(|(line, &gate)| gates[place.then(line)] = gate as f32);
        }
        (state[place.now(0)], state[place.now(1)]) = (h, c as f32);
        y[place.then(0)] = h;
    });
}

fn twin_backward(t: &Twin) {
    let args: Args = t.get("args");
    let (mut gates, before, d_y) = (t.f32_mut("gates"), t.f32("c_then"), t.f32("d_y"));
    let (d_h, mut d_c, mut d_product) = (t.f32("d_h"), t.f32_mut("d_c"), t.f32_mut("d_product"));
    Place::each(&args, |place| {
        let [i, f, g, o] = [0, 1, 2, 3].map(|line| f64::from(gates[place.then(line)]));
        let before = f64::from(before[place.then(0)]);
        let bent = (f * before + i * g).tanh();
        let of_h = f64::from(d_y[place.then(0)]) + place.later(d_h[place.now(0)]);
        let of_c = place.later(d_c[place.now(0)]) + of_h * o * (1.0 - bent * bent);
        d_c[place.now(0)] = (of_c * f) as f32;
        let all = [
            of_c * g * i * (1.0 - i),
            of_c * before * f * (1.0 - f),
            of_c * i * (1.0 - g * g),
            of_h * bent * o * (1.0 - o),
        ];
        for (line, d) in all.into_iter().enumerate() {
            (gates[place.then(line)], d_product[place.now(line)]) = (d as f32, d as f32);
        }
    });
}

pub fn checks() -> Vec<Check> {
    let forward = |t: &mut Trial, n: usize, odd: bool, keeps: bool| -> Result<()> {
        for (cell, at) in Cell::checked(n) {
            let of = |t: &Trial, lines| t.gpu.tensor("out", Dtype::F32, &cell.of_all(lines));
            let x = match odd {
                true => t.odd_input("x", cell.of_all(4).iter().product(), 0, true)?.first(&cell.of_all(4)),
                false => t.input("x", &cell.of_all(4))?,
            };
            let (product, state) =
                (t.input("product", &cell.of_step(4))?, t.input("state", &cell.of_step(2))?);
            let kept = [of(t, 4)?, of(t, 1)?, of(t, 1)?];
            let y = of(t, 1)?;
            kept.iter().chain([&state, &y]).for_each(|tensor| match odd {
                true => t.compare_odd(tensor, CLOSE),
                false => t.compare(tensor, CLOSE),
            });
            let [gates, h_before, c_before] = &kept;
            let kept = Kept { gates, h_before, c_before };
            record_forward(&mut t.rec, cell, at, &x, &product, &state, kept, keeps, &y)?;
        }
        Ok(())
    };
    let backward = |t: &mut Trial, n: usize| -> Result<()> {
        for ((cell, at), first) in Cell::checked(n).into_iter().zip([false, true, false]) {
            let gates = in_place(t, "gates", &cell.of_all(4))?;
            let c_before = t.input("c_before", &cell.of_all(1))?;
            let kept = Kept { gates: &gates, h_before: &c_before, c_before: &c_before };
            let (d_y, d_h) = (t.input("d_y", &cell.of_all(1))?, t.input("d_h", &cell.of_step(1))?);
            let d_c = in_place(t, "d_c", &cell.of_step(1))?;
            let d_product = t.output("d_product", &cell.of_step(4), CLOSE)?;
            record_backward(&mut t.rec, cell, at, first, kept, &d_y, [&d_h, &d_c], &d_product)?;
        }
        Ok(())
    };
    vec![
        Check::new("ops/lstm:forward", move |t: &mut Trial, n| forward(t, n, false, true)),
        Check::new("ops/lstm:forward (evaluation)", move |t: &mut Trial, n| forward(t, n, false, false)),
        Check::new("ops/lstm:forward (odd)", move |t: &mut Trial, n| forward(t, n, true, true)),
        Check::new("ops/lstm:backward", backward),
    ]
}
