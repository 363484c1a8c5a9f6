//! Averages of weights over the steps of training, by which a network is judged.
//!
//! Polyak & Juditsky, 1992, "Acceleration of stochastic approximation by averaging"; as an exponential moving average
//! Tarvainen & Valpola, 2017, "Mean teachers are better role models", Section 2: after each update
//! `average += (1 - d) (weight - average)`. The decay `d = min(decay, (1 + t) / (10 + t))`, t the number of the update, is
//! that of TensorFlow's `ExponentialMovingAverage` with `num_updates`: early weights do not linger, and averages begin with
//! the weights of the start, so that nothing is to be corrected.
//!
//! An average is like a slot: stored, packed and held at 0 behind a mask with its weight. One that is 0 has not begun, and
//! begins with its weight: at the start, after a mask update, and where training starts over.

use crate::error::Result;
use crate::gpu::check::{Check, Tolerance};
use crate::gpu::{Gpu, Kernel, Phase, Recorder, Tensor, Twin, Uniform};
use crate::ops::groups;
use crate::ops::running::{self, Pace};
use crate::param::{AVERAGE, Like, ParamSet};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/optim/average.wgsl`.
    pub struct Args { quads: u32 }
}

const BEGIN: Kernel = Kernel::own(source!("optim/average"), twin_begin).entry("begin").proven();
const EXCHANGE: Kernel = Kernel::own(source!("optim/average"), twin_exchange).entry("exchange").proven();
const WG: usize = 64;

/// The averages of all parameters, running statistics among them: companions named [`AVERAGE`].
pub struct Average {
    decay: f64,
    pace: Uniform,
}

/// A weight and its average, or several that follow each other in memory.
struct Pair<'a> {
    name: &'a str,
    weight: Tensor,
    average: Tensor,
}

impl Average {
    /// Gives each parameter an average.
    ///
    /// # Errors
    /// `Kind::Memory` where the device has no room.
    pub fn new(gpu: &Gpu, decay: f64, params: &mut ParamSet) -> Result<Self> {
        params.iter_mut().try_for_each(|param| param.accompany(gpu, AVERAGE, Like::Values))?;
        Ok(Self { decay, pace: gpu.uniform("pace", &Pace::default())? })
    }
    /// The share of the average that update number `t`, from 1, leaves.
    fn decay_at(&self, t: u64) -> f64 {
        self.decay.min((1 + t) as f64 / (10 + t) as f64)
    }
    /// Writes what update number `t` takes.
    pub fn open(&self, t: u64) -> Result<()> {
        self.pace.write(&Pace { momentum: (1.0 - self.decay_at(t)) as f32 })
    }
    /// Records how averages follow weights that have just been updated; not once the flag of `totals` is up.
    pub fn record(&self, rec: &mut Recorder, params: &ParamSet, totals: &Tensor) -> Result<()> {
        rec.phase(Phase::Update);
        for Pair { name, weight, average } in pairs(params) {
            rec.scope(name);
            running::record(rec, (&self.pace).into(), &weight, &average, totals)?;
        }
        Ok(())
    }
}

/// Records that averages of 0 begin with their weight.
pub fn record_begin(rec: &mut Recorder, params: &ParamSet) -> Result<()> {
    record_all(rec, &BEGIN, params)
}

/// Records that each weight changes places with its average.
pub fn record_exchange(rec: &mut Recorder, params: &ParamSet) -> Result<()> {
    record_all(rec, &EXCHANGE, params)
}

fn record_all(rec: &mut Recorder, kernel: &Kernel, params: &ParamSet) -> Result<()> {
    rec.phase(Phase::Update);
    for Pair { name, weight, average } in pairs(params) {
        rec.scope(name);
        dispatch(rec, kernel, &weight, &average)?;
    }
    Ok(())
}

fn dispatch(rec: &mut Recorder, kernel: &Kernel, weight: &Tensor, average: &Tensor) -> Result<()> {
    let quads = weight.len().div_ceil(4);
    let args = Args { quads: quads as u32 };
    let binds = bind! { args: &args, weight: weight, average: average };
    rec.dispatch(kernel, binds, groups(quads, WG), 0)
}

fn pairs(params: &ParamSet) -> Vec<Pair<'_>> {
    let mut all: Vec<Pair> = Vec::new();
    for param in params {
        for (segment, average) in param.segments.iter().zip(param.tensors(AVERAGE)) {
            let joined = all.iter_mut().find_map(|pair| {
                let next = (pair.weight.through(&segment.weight)?, pair.average.through(average)?);
                (pair.weight, pair.average) = next;
                Some(())
            });
            if joined.is_none() {
                let (weight, average) = (segment.weight.clone(), average.clone());
                all.push(Pair { name: &param.name, weight, average });
            }
        }
    }
    all
}

fn twin_begin(t: &Twin) {
    let weight = t.f32_mut("weight");
    t.f32_mut("average")
        .iter_mut()
        .zip(weight.iter())
        .filter(|(own, _)| **own == 0.0)
        .for_each(|(own, w)| *own = *w);
}

fn twin_exchange(t: &Twin) {
    let (mut weight, mut average) = (t.f32_mut("weight"), t.f32_mut("average"));
    weight.iter_mut().zip(average.iter_mut()).for_each(|(one, other)| std::mem::swap(one, other));
}

pub fn checks() -> Vec<Check> {
    let of = |name: &str, kernel: Kernel| {
        Check::new(format!("optim/average:{name}"), move |t, n| {
            let weight = t.input("weight", &[n])?;
            // Every third average has not begun.
            let values: Vec<f32> =
                t.values(n).iter().enumerate().map(|(i, v)| if i % 3 == 0 { 0.0 } else { *v }).collect();
            let average = t.gpu.upload_f32("average", &[n], &values)?;
            t.compare(&weight, Tolerance::EXACT);
            t.compare(&average, Tolerance::EXACT);
            dispatch(&mut t.rec, &kernel, &weight, &average)
        })
    };
    vec![of("begin", BEGIN), of("exchange", EXCHANGE)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_decay_rises_to_its_own() {
        let gpu = Gpu::twin();
        let average = Average::new(&gpu, 0.9, &mut ParamSet::default()).unwrap();
        for (t, want) in [(1, 2.0 / 11.0), (2, 0.25), (79, 80.0 / 89.0), (80, 0.9), (1_000_000, 0.9)] {
            let decay: f64 = average.decay_at(t);
            assert!((decay - want).abs() <= 1e-12, "update {t}: {decay}, not {want}");
        }
    }
}
