//! The device's ceilings: arithmetic, loads from buffers and through textures. For the benchmark.

use super::groups;
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance};
use crate::gpu::{Kernel, Recorder, Tensor, Twin};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/ceilings.wgsl`.
    pub struct Args { quads: u32, rounds: u32 }
}

const ARITHMETIC: Kernel = Kernel::own(source!("ops/ceilings"), twin_arithmetic).entry("arithmetic").proven();
const QUADS: Kernel = Kernel::own(source!("ops/ceilings"), twin_loads).entry("quads").proven();
const TEXELS: Kernel = Kernel::own(source!("ops/ceilings"), twin_loads).entry("texels").proven();
const WG: usize = 64;
/// Operations of one round of `arithmetic`: 24 times a multiplication and an addition of four numbers.
const ROUND_FLOPS: u64 = 192;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ceiling {
    Arithmetic,
    Quads,
    Texels,
}

/// Records `rounds` rounds on every quad of `x` (len,) into `y` (len,); len is a multiple of 4.
pub fn record(rec: &mut Recorder, what: Ceiling, rounds: u32, x: &Tensor, y: &Tensor) -> Result<()> {
    let quads = y.len() / 4;
    let args = Args { quads: quads as u32, rounds };
    let work = quads as u64 * rounds as u64;
    let groups = groups(quads, WG);
    match what {
        Ceiling::Arithmetic => {
            rec.dispatch(&ARITHMETIC, bind! { args: &args, y: y }, groups, work * ROUND_FLOPS)
        }
        Ceiling::Quads => rec.dispatch(&QUADS, bind! { args: &args, x: x, y: y }, groups, work * 4),
        Ceiling::Texels => rec.dispatch(&TEXELS, bind! { args: &args, x_texels: x, y: y }, groups, work * 4),
    }
}

fn twin_arithmetic(t: &Twin) {
    let args: Args = t.get("args");
    for (i, quad) in t.f32_mut("y").chunks_mut(4).enumerate() {
        let mut sums = [i as f64, i as f64 + 1.0, i as f64 + 2.0];
        for _ in 0..args.rounds {
            for term in 1..=8 {
                sums.iter_mut().for_each(|sum| *sum = *sum * 0.5 + term as f64);
            }
        }
        quad.fill(sums.iter().sum::<f64>() as f32);
    }
}

fn twin_loads(t: &Twin) {
    let args: Args = t.get("args");
    let x = t.f32("x");
    for (i, quad) in t.f32_mut("y").chunks_mut(4).enumerate() {
        for (lane, y) in quad.iter_mut().enumerate() {
            let at = |r: u32| (i + r as usize * WG) % args.quads as usize;
            *y = (0..args.rounds).map(|r| x[at(r) * 4 + lane] as f64).sum::<f64>() as f32;
        }
    }
}

pub fn checks() -> Vec<Check> {
    let one = |what: Ceiling| {
        Check::new(format!("ops/ceilings ({what:?})"), move |t, n| {
            let len = n * 4;
            let x = t.input("x", &[len])?;
            let y = t.output("y", &[len], Tolerance { abs: 1e-5, rel: 1e-5 })?;
            record(&mut t.rec, what, 3, &x, &y)
        })
    };
    [Ceiling::Arithmetic, Ceiling::Quads, Ceiling::Texels].map(one).into()
}
