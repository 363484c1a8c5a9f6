//! One step of a GRU beside its products, forward and backward, as PyTorch and cuDNN have it: the reset gate scales the
//! product, bias included.   Cho et al. 2014. Gates in PyTorch's order: r, z, n.

use super::cell::{Args, Kind, Place, kind, sigmoid, sum};
use crate::gpu::Twin;
use crate::gpu::check::Check;
use crate::source;

pub const GRU: Kind = kind(
    ["gru", "ops/gru:forward", "ops/gru:backward"],
    &['r', 'z', 'n'],
    1,
    source!("ops/gru"),
    [twin_forward, twin_backward],
    ([9, 5, 16], [25, 25]),
);

fn twin_forward(t: &Twin) {
    let args: Args = t.get("args");
    let (x, product, mut state) = (t.f32("x"), t.f32("product"), t.f32_mut("state"));
    let (mut gates, mut h_before, mut y) = (t.f32_mut("gates"), t.f32_mut("h_before"), t.f32_mut("y"));
    Place::each(t, &args, |place| {
        let [r, z] = [0, 1].map(|line| sigmoid(sum(x[place.then(line)], product[place.now(line)])));
        let m = product[place.now(2)];
        let n = (f64::from(x[place.then(2)]) + r * f64::from(m)).tanh();
        let before = state[place.now(0)];
        let h = ((1.0 - z) * n + z * f64::from(before)) as f32;
        let h = if place.is_there { h } else { before };
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
    let (mut gates, before, d_y) = (t.f32_mut("gates"), t.f32("began"), t.f32("d_y"));
    let (d_h, mut d_past, mut d_product) = (t.f32("d_h"), t.f32_mut("d_past"), t.f32_mut("d_product"));
    Place::each(t, &args, |place| {
        let [r, z, m, n] = [0, 1, 2, 3].map(|line| f64::from(gates[place.then(line)]));
        let of_h = f64::from(d_y[place.then(0)])
            + place.later(d_h[place.now(0)])
            + place.later(d_past[place.now(0)]);
        d_past[place.now(0)] = if place.is_there { (of_h * z) as f32 } else { of_h as f32 };
        let d_n = of_h * (1.0 - z) * (1.0 - n * n);
        let d_z = of_h * (f64::from(before[place.then(0)]) - n) * z * (1.0 - z);
        let all = [d_n * m * r * (1.0 - r), d_z, d_n * r, d_n].map(|d| d as f32);
        for (line, d) in all.into_iter().enumerate() {
            let d = if place.is_there { d } else { 0.0 };
            gates[place.then(line)] = d;
            if line < 3 {
                d_product[place.now(line)] = d;
            }
        }
    });
}

pub fn checks() -> Vec<Check> {
    super::cell::checks(&GRU)
}
