//! Layer normalisation and RMS normalisation: over the channels of each column.   Ba, Kiros & Hinton 2016; Zhang & Sennrich
//! 2019.
//!
//! The mean is taken first, then the squares of deviations from it, so that no square of a mean is subtracted from anything.

use super::fetch::Fetch;
use super::groups;
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance, Trial};
use crate::gpu::{Dtype, Kernel, Recorder, Tensor, Twin};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/layer_norm.wgsl`.
    pub struct Args { channels: u32, quads: u32, parts: u32, epsilon: f32 }
}

/// `entry`: an entry point and what it is called.
fn kernel(fetch: Fetch, entry: [&'static str; 2], twin: fn(&Twin)) -> Kernel {
    let parts = [source!("ops/layer_norm/by_buffers"), source!("ops/layer_norm/by_texels")];
    fetch.kernel(source!("ops/layer_norm"), entry, parts, &fetch.rounds(PART), twin)
}

const NORMALISE: [&str; 2] = ["normalise", "ops/layer_norm:normalise"];
const DIFFERENTIATE: [&str; 2] = ["differentiate", "ops/layer_norm:differentiate"];
const OBSERVE: [&str; 2] = ["observe", "ops/layer_norm:observe"];
const GATHER: [&str; 2] = ["gather", "ops/layer_norm:gather"];

/// Every kernel; others are the same with other values of overrides.
pub fn kernels() -> impl Iterator<Item = Kernel> {
    let of = |fetch| {
        [
            kernel(fetch, NORMALISE, |t| twin_normalise(t, false)),
            kernel(fetch, DIFFERENTIATE, |t| twin_differentiate(t, false, false)),
            kernel(fetch, OBSERVE, twin_observe),
            kernel(fetch, GATHER, |t| twin_gather(t, false)),
        ]
    };
    Fetch::ALL.into_iter().flat_map(of)
}

/// Quads of columns of a workgroup that goes over channels.
const QUADS: usize = 8;
/// Quads of a part: a multiple of four for each lane that a workgroup may have.
const PART: usize = 1024;

/// What is normalised, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Norm {
    pub fetch: Fetch,
    pub channels: usize,
    /// Columns of x.
    pub cols: usize,
    pub epsilon: f32,
    /// By the root mean square: nothing is subtracted, and there is no bias.
    pub rms: bool,
}

impl Norm {
    /// `(2, cols)`: mean and 1 / deviation of each column.
    pub fn moments(&self) -> Vec<usize> {
        vec![2, self.cols]
    }
    /// `(channels, parts, 2)`: the shape of what [`Norm::record_scale_grads`] takes for itself.
    pub fn parts(&self) -> Vec<usize> {
        vec![self.channels, (self.cols / 4).div_ceil(PART), 2]
    }
    fn args(&self) -> Args {
        Args {
            channels: self.channels as u32,
            quads: (self.cols / 4) as u32,
            parts: self.parts()[1] as u32,
            epsilon: self.epsilon,
        }
    }
    fn len(&self) -> u64 {
        (self.channels * self.cols) as u64
    }

    /// `y = (x - mean) / deviation * weight + bias`, and the moments. By the root mean square the bias is not read.
    pub fn record_normalise(
        &self,
        rec: &mut Recorder,
        x: &Tensor,
        [weight, bias]: [&Tensor; 2],
        moments: &Tensor,
        y: &Tensor,
    ) -> Result<()> {
        let binds =
            bind! { args: &self.args(), x: x, weight: weight, bias: bias, new_moments: moments, y: y };
        let by = |twin| kernel(self.fetch, NORMALISE, twin);
        let own = match self.rms {
            false => by(|t| twin_normalise(t, false)),
            true => by(|t| twin_normalise(t, true)).with(&[("RMS", 1.0)]),
        };
        rec.dispatch(&own, binds, groups(self.cols / 4, QUADS), 8 * self.len())
    }

    /// The gradient of x, or `+=` if `adds`; 0 where `d_y` is.
    #[expect(clippy::too_many_arguments, reason = "each is a tensor of the formula")]
    pub fn record_differentiate(
        &self,
        rec: &mut Recorder,
        x: &Tensor,
        d_y: &Tensor,
        weight: &Tensor,
        moments: &Tensor,
        d_x: &Tensor,
        adds: bool,
    ) -> Result<()> {
        let binds = bind! { args: &self.args(), x: x, d_y: d_y, weight: weight, moments: moments, d_x: d_x };
        let by = |twin| kernel(self.fetch, DIFFERENTIATE, twin);
        let own = match (self.rms, adds) {
            (false, false) => by(|t| twin_differentiate(t, false, false)),
            (false, true) => by(|t| twin_differentiate(t, false, true)).with(&[("ADDS", 1.0)]),
            (true, false) => by(|t| twin_differentiate(t, true, false)).with(&[("RMS", 1.0)]),
            (true, true) => by(|t| twin_differentiate(t, true, true)).with(&[("RMS", 1.0), ("ADDS", 1.0)]),
        };
        rec.dispatch(&own, binds, groups(self.cols / 4, QUADS), 11 * self.len())
    }

    /// The gradients of weight and bias; by the root mean square `d_bias` is not written.
    pub fn record_scale_grads(
        &self,
        rec: &mut Recorder,
        x: &Tensor,
        d_y: &Tensor,
        moments: &Tensor,
        parts: &Tensor,
        [d_weight, d_bias]: [&Tensor; 2],
    ) -> Result<()> {
        let args = self.args();
        let all = self.parts()[..2].iter().product::<usize>() as u64;
        let binds = bind! { args: &args, x: x, d_y: d_y, moments: moments, new_parts: parts };
        rec.dispatch(&kernel(self.fetch, OBSERVE, twin_observe), binds, all, 5 * self.len())?;
        let binds = bind! { args: &args, parts: parts, d_weight: d_weight, d_bias: d_bias };
        let by = |twin| kernel(self.fetch, GATHER, twin);
        let own = match self.rms {
            false => by(|t| twin_gather(t, false)),
            true => by(|t| twin_gather(t, true)).with(&[("RMS", 1.0)]),
        };
        rec.dispatch(&own, binds, self.channels as u64, 2 * all)
    }
}

fn twin_normalise(t: &Twin, rms: bool) {
    let args: Args = t.get("args");
    let (channels, cols) = (args.channels as usize, 4 * args.quads as usize);
    let (x, weight, bias) = (t.f32("x"), t.f32("weight"), t.f32("bias"));
    let (mut moments, mut y) = (t.f32_mut("new_moments"), t.f32_mut("y"));
    for col in 0..cols {
        let of = |channel: usize| f64::from(x[channel * cols + col]);
        let mean = if rms { 0.0 } else { (0..channels).map(of).sum::<f64>() / channels as f64 };
        let squares: f64 = (0..channels).map(|channel| (of(channel) - mean).powi(2)).sum();
        let scale = 1.0 / (squares / channels as f64 + f64::from(args.epsilon)).sqrt();
        (moments[col], moments[cols + col]) = (mean as f32, scale as f32);
        for channel in 0..channels {
            let shift = if rms { 0.0 } else { f64::from(bias[channel]) };
            let value = (of(channel) - mean) * scale * f64::from(weight[channel]) + shift;
            y[channel * cols + col] = value as f32;
        }
    }
}

fn twin_differentiate(t: &Twin, rms: bool, adds: bool) {
    let args: Args = t.get("args");
    let (channels, cols) = (args.channels as usize, 4 * args.quads as usize);
    let (x, d_y, weight, moments) = (t.f32("x"), t.f32("d_y"), t.f32("weight"), t.f32("moments"));
    let mut d_x = t.f32_mut("d_x");
    for col in 0..cols {
        let (mean, scale) = (f64::from(moments[col]), f64::from(moments[cols + col]));
        let normal = |channel: usize| (f64::from(x[channel * cols + col]) - mean) * scale;
        let g = |channel: usize| f64::from(d_y[channel * cols + col]) * f64::from(weight[channel]);
        let over = |of: &dyn Fn(usize) -> f64| (0..channels).map(of).sum::<f64>() / channels as f64;
        let plain = if rms { 0.0 } else { over(&g) };
        let by_normal = over(&|channel| g(channel) * normal(channel));
        for channel in 0..channels {
            let d = ((g(channel) - plain - normal(channel) * by_normal) * scale) as f32;
            let to = &mut d_x[channel * cols + col];
            *to = if adds { *to + d } else { d };
        }
    }
}

/// All of a row stands in its first part: how it is divided is the device's affair.
fn twin_observe(t: &Twin) {
    let args: Args = t.get("args");
    let (x, d_y, moments, mut parts) = (t.f32("x"), t.f32("d_y"), t.f32("moments"), t.f32_mut("new_parts"));
    let cols = 4 * args.quads as usize;
    parts.fill(0.0);
    for channel in 0..args.channels as usize {
        let d = |col: usize| f64::from(d_y[channel * cols + col]);
        let normal = |col: usize| {
            (f64::from(x[channel * cols + col]) - f64::from(moments[col])) * f64::from(moments[cols + col])
        };
        let first = channel * args.parts as usize * 2;
        parts[first] = (0..cols).map(|col| d(col) * normal(col)).sum::<f64>() as f32;
        parts[first + 1] = (0..cols).map(d).sum::<f64>() as f32;
    }
}

fn twin_gather(t: &Twin, rms: bool) {
    let args: Args = t.get("args");
    let (parts, mut d_weight, mut d_bias) = (t.f32("parts"), t.f32_mut("d_weight"), t.f32_mut("d_bias"));
    for channel in 0..args.channels as usize {
        let own = &parts[channel * args.parts as usize * 2..][..args.parts as usize * 2];
        let sum = |which: usize| own.iter().skip(which).step_by(2).map(|&x| f64::from(x)).sum::<f64>() as f32;
        d_weight[channel] = sum(0);
        if !rms {
            d_bias[channel] = sum(1);
        }
    }
}

/// Deviations are above 0.1 here, but of single channels, whose y is 0: rounding grows tenfold at most.
const NEAR: Tolerance = Tolerance { abs: 4e-6, rel: 4e-6 };

fn norm(n: usize, fetch: Fetch, rms: bool) -> Norm {
    let cols = if n == 0 { 0 } else { 4 * (1 + n % 13) };
    Norm { fetch, channels: n, cols, epsilon: 1e-5, rms }
}

/// Numbers of a parameter, or scales of columns, between 0.5 and 1.5.
fn around_one(t: &mut Trial, label: &str, shape: &[usize]) -> Result<Tensor> {
    let values: Vec<f32> =
        t.values(shape.iter().product()).into_iter().map(|value| 1.0 + value / 2.0).collect();
    t.gpu.upload_f32(label, shape, &values)
}

fn forward(fetch: Fetch, rms: bool, mean: f32, near: Tolerance) -> Check {
    Check::new(format!("ops/layer_norm ({fetch:?}, rms {rms}, mean {mean})"), move |t: &mut Trial, n| {
        let norm = norm(n, fetch, rms);
        let values: Vec<f32> = t.values(n * norm.cols).into_iter().map(|value| value + mean).collect();
        let x = t.gpu.upload_f32("x", &[n, norm.cols], &values)?;
        let (weight, bias) = (around_one(t, "weight", &[n])?, t.input("bias", &[n])?);
        let (moments, y) = (t.output("moments", &norm.moments(), near)?, t.output("y", &x.shape, near)?);
        norm.record_normalise(&mut t.rec, &x, [&weight, &bias], &moments, &y)
    })
}

/// What is not finite makes its column so, and no other.
fn odd(fetch: Fetch, rms: bool) -> Check {
    Check::new(format!("ops/layer_norm ({fetch:?}, rms {rms}, odd)"), move |t: &mut Trial, n| {
        let norm = norm(n, fetch, rms);
        let x = t.odd_logits(n, norm.cols)?;
        let (weight, bias) = (around_one(t, "weight", &[n])?, t.input("bias", &[n])?);
        let moments = t.gpu.tensor("moments", Dtype::F32, &norm.moments())?;
        let y = t.gpu.tensor("y", Dtype::F32, &x.shape)?;
        t.compare_odd(&y, NEAR);
        norm.record_normalise(&mut t.rec, &x, [&weight, &bias], &moments, &y)
    })
}

fn backward(fetch: Fetch, rms: bool) -> Check {
    Check::new(format!("ops/layer_norm:differentiate ({fetch:?}, rms {rms})"), move |t: &mut Trial, n| {
        let norm = norm(n, fetch, rms);
        let shape = [n, norm.cols];
        let (x, d_y, weight) = (t.input("x", &shape)?, t.input("d_y", &shape)?, around_one(t, "w", &[n])?);
        let moments = around_one(t, "moments", &norm.moments())?;
        let (d_x, more) = (t.output("d_x", &shape, NEAR)?, t.input("more", &shape)?);
        t.compare(&more, NEAR);
        norm.record_differentiate(&mut t.rec, &x, &d_y, &weight, &moments, &d_x, false)?;
        norm.record_differentiate(&mut t.rec, &x, &d_y, &weight, &moments, &more, true)
    })
}

/// Rows of several parts at the largest size.
fn scale_grads(fetch: Fetch, rms: bool) -> Check {
    Check::new(format!("ops/layer_norm:observe ({fetch:?}, rms {rms})"), move |t: &mut Trial, n| {
        let norm = Norm { channels: n.min(19), cols: (1 + n) * 4 * (1 + n % 7), ..norm(n, fetch, rms) };
        let shape = [norm.channels, norm.cols];
        let (x, d_y) = (t.input("x", &shape)?, t.input("d_y", &shape)?);
        let moments = around_one(t, "moments", &norm.moments())?;
        let long = Tolerance::sum(4 * norm.cols);
        let parts = t.gpu.tensor("parts", Dtype::F32, &norm.parts())?;
        let grads = [t.output("d_w", &shape[..1], long)?, t.output("d_b", &shape[..1], long)?];
        norm.record_scale_grads(&mut t.rec, &x, &d_y, &moments, &parts, grads.each_ref())
    })
}

pub fn checks() -> Vec<Check> {
    // The mean, of numbers near 1000, is rounded to 6e-5 / 2, over a deviation of 0.57 and times a weight of up to 1.5.
    let far = Tolerance { abs: 3e-4, rel: 4e-6 };
    let of = |fetch| {
        let mut all = vec![forward(fetch, false, 0.0, NEAR), forward(fetch, false, 1000.0, far)];
        all.push(forward(fetch, true, 0.0, NEAR));
        all.extend([false, true].map(|rms| odd(fetch, rms)));
        all.extend([false, true].map(|rms| backward(fetch, rms)));
        all.extend([false, true].map(|rms| scale_grads(fetch, rms)));
        all
    };
    Fetch::ALL.into_iter().flat_map(of).collect()
}
