//! One step of an LSTM beside its products, forward and backward.   Hochreiter & Schmidhuber 1997; Gers, Schmidhuber &
//! Cummins 2000 (forget gate). Gates in PyTorch's order: i, f, g, o.

use super::cell::{Args, Kind, Place, kind, sigmoid, sum};
use crate::gpu::Twin;
use crate::gpu::check::Check;
use crate::source;

pub const LSTM: Kind = kind(
    ["lstm", "ops/lstm:forward", "ops/lstm:backward"],
    &['i', 'f', 'g', 'o'],
    2,
    source!("ops/lstm"),
    [twin_forward, twin_backward],
    ([13, 6, 17], [30, 40]),
);

fn twin_forward(t: &Twin) {
    let args: Args = t.get("args");
    let (x, product, mut state) = (t.f32("x"), t.f32("product"), t.f32_mut("state"));
    let (mut gates, mut y) = (t.f32_mut("gates"), t.f32_mut("y"));
    let (mut h_before, mut c_before) = (t.f32_mut("h_before"), t.f32_mut("c_before"));
    Place::each(t, &args, |place| {
        let sums = [0, 1, 2, 3].map(|line| sum(x[place.then(line)], product[place.now(line)]));
        let [i, f, g, o] = [sigmoid(sums[0]), sigmoid(sums[1]), sums[2].tanh(), sigmoid(sums[3])];
        let before = [state[place.now(0)], state[place.now(1)]];
        let c = f * f64::from(before[1]) + i * g;
        let [h, c] = if place.is_there { [(o * c.tanh()) as f32, c as f32] } else { before };
        if args.flag != 0 {
            (h_before[place.then(0)], c_before[place.then(0)]) = (before[0], before[1]);
            [i, f, g, o].iter().enumerate().for_each(|(line, &gate)| gates[place.then(line)] = gate as f32);
        }
        (state[place.now(0)], state[place.now(1)]) = (h, c);
        y[place.then(0)] = h;
        if args.cells != 0 {
            y[place.then(1)] = c;
        }
    });
}

fn twin_backward(t: &Twin) {
    let args: Args = t.get("args");
    let (mut gates, before, d_y) = (t.f32_mut("gates"), t.f32("began"), t.f32("d_y"));
    let (d_h, mut d_past, mut d_product) = (t.f32("d_h"), t.f32_mut("d_past"), t.f32_mut("d_product"));
    let is_ragged = t.has("lengths");
    Place::each(t, &args, |place| {
        let [i, f, g, o] = [0, 1, 2, 3].map(|line| f64::from(gates[place.then(line)]));
        let before = f64::from(before[place.then(0)]);
        let bent = (f * before + i * g).tanh();
        let mut of_h = f64::from(d_y[place.then(0)]) + place.later(d_h[place.now(0)]);
        let mut past = place.later(d_past[place.now(1)]);
        if is_ragged {
            of_h += place.later(d_past[place.now(0)]);
        }
        if args.cells != 0 {
            past += f64::from(d_y[place.then(1)]);
        }
        let of_c = past + of_h * o * (1.0 - bent * bent);
        if is_ragged {
            d_past[place.now(0)] = if place.is_there { 0.0 } else { of_h as f32 };
        }
        d_past[place.now(1)] = if place.is_there { (of_c * f) as f32 } else { past as f32 };
        let all = [
            of_c * g * i * (1.0 - i),
            of_c * before * f * (1.0 - f),
            of_c * i * (1.0 - g * g),
            of_h * bent * o * (1.0 - o),
        ];
        for (line, d) in all.into_iter().enumerate() {
            let d = if place.is_there { d as f32 } else { 0.0 };
            (gates[place.then(line)], d_product[place.now(line)]) = (d, d);
        }
    });
}

pub fn checks() -> Vec<Check> {
    super::cell::checks(&LSTM)
}
