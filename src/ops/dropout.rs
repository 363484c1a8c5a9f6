//! Dropout: some numbers become 0, the others grow so that the mean stays.   Srivastava et al. 2014.

use super::groups;
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance, Trial};
use crate::gpu::{Kernel, Recorder, Tensor, Twin, Uniform};
use crate::ops::Step;
use crate::random::{self, Stream};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/dropout.wgsl`.
    pub struct Args {
        quads: u32, seed_low: u32, seed_high: u32, stream: u32, layer: u32, threshold: u32, scale: f32
    }
}

const SET: Kernel = Kernel::own(source!("ops/dropout"), |t| twin(t, false)).proven();
const ADD: Kernel = Kernel::own(source!("ops/dropout"), |t| twin(t, true)).with(&[("ADDS", 1.0)]).proven();
const WG: usize = 64;

/// Which numbers are dropped, in a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// The share that is dropped, from 0 up to, not including, 1.
    pub p: f64,
    pub seed: u64,
    /// The layer's number.
    pub layer: usize,
}

impl Dropout {
    /// `y = x / (1 - p)`, or 0 with probability p, or `+=` if `adds`: the backward pass is the same of `d_y`.
    pub fn record(
        &self,
        rec: &mut Recorder,
        step: &Uniform,
        x: &Tensor,
        y: &Tensor,
        adds: bool,
    ) -> Result<()> {
        let quads = x.len().div_ceil(4);
        let args = Args {
            quads: quads as u32,
            seed_low: self.seed as u32,
            seed_high: (self.seed >> 32) as u32,
            stream: Stream::Dropout as u32,
            layer: self.layer as u32,
            threshold: (self.p * (1u64 << 32) as f64) as u32,
            scale: (1.0 / (1.0 - self.p)) as f32,
        };
        let kernel = if adds { &ADD } else { &SET };
        rec.dispatch(kernel, bind! { args: &args, step: step, x: x, y: y }, groups(quads, WG), x.len() as u64)
    }
}

fn twin(t: &Twin, adds: bool) {
    let (args, step): (Args, Step) = (t.get("args"), t.get("step"));
    let (x, mut y) = (t.f32("x"), t.f32_mut("y"));
    let seed = u64::from(args.seed_low) | u64::from(args.seed_high) << 32;
    for (i, (y, &x)) in y.iter_mut().zip(x.iter()).enumerate() {
        let word = random::word(seed, Stream::Dropout, step.draw, args.layer, i as u32);
        let value = if word < args.threshold { 0.0 } else { x * args.scale };
        *y = if adds { *y + value } else { value };
    }
}

pub fn checks() -> Vec<Check> {
    let of = |p: f64| {
        Check::new(format!("ops/dropout ({p})"), move |t: &mut Trial, n| {
            let step = t.gpu.uniform("step", &Step { draw: 17, ..Step::default() })?;
            let (x, y, more) =
                (t.input("x", &[n])?, t.output("y", &[n], Tolerance::EXACT)?, t.input("z", &[n])?);
            t.compare(&more, Tolerance::ROUNDING);
            let dropout = Dropout { p, seed: 0x0123_4567_89ab_cdef, layer: 3 };
            dropout.record(&mut t.rec, &step, &x, &y, false)?;
            dropout.record(&mut t.rec, &step, &x, &more, true)
        })
    };
    vec![of(0.0), of(0.3), of(0.9)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Gpu;

    fn dropped(p: f64, layer: usize, draw: u32) -> Vec<f32> {
        let (gpu, len) = (Gpu::twin(), 40_000);
        let x = gpu.upload_f32("x", &[len], &vec![1.0; len]).unwrap();
        let y = gpu.upload_f32("y", &[len], &vec![0.0; len]).unwrap();
        let step = gpu.uniform("step", &Step { draw, ..Step::default() }).unwrap();
        let mut rec = Recorder::new(&gpu);
        Dropout { p, seed: 1, layer }.record(&mut rec, &step, &x, &y, false).unwrap();
        rec.finish().unwrap().replay().unwrap();
        y.read_f32().unwrap()
    }

    #[test]
    fn a_share_is_dropped_another_in_each_step_and_layer_and_the_mean_stays() {
        for p in [0.0, 0.25, 0.5, 0.9] {
            let values = dropped(p, 1, 1);
            let share = values.iter().filter(|value| **value == 0.0).count() as f64 / values.len() as f64;
            // Four deviations of a share of 40,000.
            assert!((share - p).abs() <= 0.01, "{share} of {p}");
            assert!(values.iter().all(|&value| value == 0.0 || value == (1.0 / (1.0 - p)) as f32));
        }
        let first = dropped(0.5, 1, 1);
        assert_eq!(first, dropped(0.5, 1, 1));
        assert!(first != dropped(0.5, 2, 1) && first != dropped(0.5, 1, 2));
    }
}
