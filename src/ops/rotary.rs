//! Rotary positions: pairs of channels turned by an angle that grows with the step.   Su et al. 2021.

use super::groups;
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance, Trial};
use crate::gpu::{Gpu, Kernel, Recorder, Tensor, Twin};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/rotary.wgsl`.
    pub struct Args { quads: u32, batch_quads: u32, steps: u32, half: u32, turned: u32, sign: f32 }
}

/// By whether the result is added.
const TURN: [Kernel; 2] = [
    Kernel::own(source!("ops/rotary"), |t| twin(t, false)).proven(),
    Kernel::own(source!("ops/rotary"), |t| twin(t, true)).with(&[("ADDS", 1.0)]).proven(),
];
const WG: usize = 256;

/// What is turned, and how far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rotary {
    pub batch: usize,
    pub steps: usize,
    /// Channels of a head: an even number.
    pub head: usize,
    /// Channels that are turned, whole heads; others are copied.
    pub turned: usize,
    /// Pair `i` is turned by `base^(-2 i / head)` a step.
    pub base: f64,
}

impl Rotary {
    /// (head / 2, steps, 2): cosines and sines, from f64, since devices differ in those of large angles.
    pub fn turns(&self, gpu: &Gpu) -> Result<Tensor> {
        let pairs = (0..self.head / 2).flat_map(|pair| (0..self.steps).map(move |step| (pair, step)));
        let turn = |(pair, step)| {
            let angle = step as f64 * self.base.powf(-2.0 * pair as f64 / self.head as f64);
            [angle.cos() as f32, angle.sin() as f32]
        };
        let all: Vec<f32> = pairs.flat_map(turn).collect();
        gpu.upload_f32("turns", &[self.head / 2, self.steps, 2], &all)
    }

    /// `y` is `x`, turned, or turned `back`, or that is added to it.
    pub fn record(
        &self,
        rec: &mut Recorder,
        turns: &Tensor,
        x: &Tensor,
        y: &Tensor,
        back: bool,
        adds: bool,
    ) -> Result<()> {
        let args = Args {
            quads: (y.len() / 4) as u32,
            batch_quads: (self.batch / 4) as u32,
            steps: self.steps as u32,
            half: (self.head / 2) as u32,
            turned: self.turned as u32,
            sign: if back { -1.0 } else { 1.0 },
        };
        let binds = bind! { args: &args, x: x, turns: turns, y: y };
        rec.dispatch(&TURN[usize::from(adds)], binds, groups(y.len() / 4, WG), 3 * y.len() as u64)
    }
}

fn twin(t: &Twin, adds: bool) {
    let args: Args = t.get("args");
    let (x, turns, mut y) = (t.f32("x"), t.f32("turns"), t.f32_mut("y"));
    let [steps, half] = [args.steps, args.half].map(|number| number as usize);
    let row = steps * 4 * args.batch_quads as usize;
    for (i, y) in y.iter_mut().enumerate() {
        let (channel, step) = (i / row, i % row / (4 * args.batch_quads as usize));
        let mut value = x[i];
        if channel < args.turned as usize {
            let first = (channel / half).is_multiple_of(2);
            let turn = channel % half * steps + step;
            let [cos, sin] = [turns[2 * turn], turns[2 * turn + 1] * args.sign].map(f64::from);
            let other = f64::from(x[if first { i + half * row } else { i - half * row }]);
            let by = if first { -other * sin } else { other * sin };
            value = (f64::from(x[i]) * cos + by) as f32;
        }
        *y = if adds { *y + value } else { value };
    }
}

pub fn checks() -> Vec<Check> {
    vec![Check::new("ops/rotary", |t: &mut Trial, n| {
        let (batch, steps, head) = (4 * (1 + n % 3), 1 + n % 11, 2 * (1 + n % 4));
        let channels = n.div_ceil(head) * head;
        let own =
            Rotary { batch, steps, head, turned: channels - channels / head / 3 * head, base: 10_000.0 };
        let shape = [channels, steps * batch];
        let (x, y) = (t.input("x", &shape)?, t.output("y", &shape, Tolerance::ROUNDING)?);
        let more = t.input("more", &shape)?;
        t.compare(&more, Tolerance::ROUNDING);
        let turns = own.turns(&t.gpu)?;
        own.record(&mut t.rec, &turns, &x, &y, false, false)?;
        own.record(&mut t.rec, &turns, &x, &more, true, true)
    })]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Gpu;

    /// The product of two turned heads depends on how far their steps lie apart alone.
    #[test]
    fn products_depend_on_distances() {
        let (gpu, batch, steps, head) = (Gpu::twin(), 4, 6, 4);
        let own = Rotary { batch, steps, head, turned: head, base: 100.0 };
        let turned = |numbers: [f32; 4]| {
            let of = |number: f32| vec![number; steps * batch];
            let x: Vec<f32> = numbers.into_iter().flat_map(of).collect();
            let x = gpu.upload_f32("x", &[head, steps * batch], &x).unwrap();
            let y = gpu.upload_f32("y", &[head, steps * batch], &vec![0.0; head * steps * batch]).unwrap();
            let mut rec = Recorder::new(&gpu);
            own.record(&mut rec, &own.turns(&gpu).unwrap(), &x, &y, false, false).unwrap();
            rec.finish().unwrap().replay().unwrap();
            y.read_f32().unwrap()
        };
        let (q, k) = (turned([0.3, -0.7, 0.2, 0.9]), turned([0.5, 0.4, -0.8, 0.1]));
        let product = |i: usize, j: usize| -> f32 {
            (0..head).map(|c| q[(c * steps + i) * batch] * k[(c * steps + j) * batch]).sum()
        };
        for step in 0..4 {
            assert!((product(step + 2, step) - product(2, 0)).abs() <= 1e-6, "{step}");
        }
        assert!((product(2, 0) - product(0, 2)).abs() > 0.1 && (product(2, 0) - product(3, 0)).abs() > 0.01);
    }
}
