//! Batch normalisation, by channel.   Ioffe & Szegedy 2015.
//!
//! A lane holds a round of four quads in registers and goes over it twice: once for its mean, once for squared deviations
//! from that. Rounds, lanes and parts are joined by the formula of Chan, Golub & LeVeque (1979), the latter two in fixed
//! trees. So x is read once, and no square of a mean is subtracted from anything. A part takes the first value of its row
//! from all others, so that its joins round numbers of the size of the deviation, or of that value's distance from the mean, and adds it to its mean at the end: with
//! u = 2^-24 that mean is off by u |mean| and a few u deviations, the variance by (d + 4) u of itself after d joins, whatever
//! the mean; y by u |mean| / deviation besides, as much as the rounding of x alone.

use super::fetch::Fetch;
use super::groups;
use crate::error::Result;
use crate::gpu::{Kernel, Recorder, Tensor, Twin, Uniform};
use crate::ops::Step;
use crate::ops::relu::rectified;
use crate::{bind, source, wgsl_struct};

mod checks;

pub use checks::checks;

wgsl_struct! {
    /// See `shaders/ops/batch_norm.wgsl`.
    pub struct Args { channels: u32, quads: u32, batch_quads: u32, parts: u32, epsilon: f32, fixed: u32 }
}

/// `entry`: an entry point and what it is called.
fn kernel(fetch: Fetch, entry: [&'static str; 2], twin: fn(&Twin)) -> Kernel {
    let parts = [source!("ops/batch_norm/by_buffers"), source!("ops/batch_norm/by_texels")];
    fetch.kernel(source!("ops/batch_norm"), entry, parts, &fetch.rounds(PART), twin)
}

const OBSERVE: [&str; 2] = ["observe", "ops/batch_norm:observe"];
const GATHER: [&str; 2] = ["gather", "ops/batch_norm:gather"];
const RECALL: [&str; 2] = ["recall", "ops/batch_norm:recall"];
const NORMALISE: [&str; 2] = ["normalise", "ops/batch_norm:normalise"];
const OBSERVE_BACKWARD: [&str; 2] = ["observe_backward", "ops/batch_norm:observe_backward"];
const GATHER_BACKWARD: [&str; 2] = ["gather_backward", "ops/batch_norm:gather_backward"];
const DIFFERENTIATE: [&str; 2] = ["differentiate", "ops/batch_norm:differentiate"];

/// Every kernel; others are the same with other values of overrides.
pub fn kernels() -> impl Iterator<Item = Kernel> {
    let of = |fetch| {
        [
            kernel(fetch, OBSERVE, twin_observe),
            kernel(fetch, GATHER, twin_gather),
            kernel(fetch, RECALL, twin_recall),
            kernel(fetch, NORMALISE, |t| twin_normalise(t, false)),
            kernel(fetch, OBSERVE_BACKWARD, |t| twin_observe_backward(t, false)),
            kernel(fetch, GATHER_BACKWARD, twin_gather_backward),
            kernel(fetch, DIFFERENTIATE, |t| twin_differentiate(t, false, false)),
        ]
    };
    Fetch::ALL.into_iter().flat_map(of)
}

/// Quads of a part: a multiple of four for each lane that a workgroup may have.
const PART: usize = 1024;

/// What is normalised, and how.
#[derive(Clone, Copy)]
pub struct Norm<'a> {
    pub fetch: Fetch,
    /// How many samples the batch has.
    pub step: &'a Uniform,
    pub channels: usize,
    /// Columns of x.
    pub cols: usize,
    /// Columns of a site.
    pub batch: usize,
    pub epsilon: f32,
    /// Whether a ReLU follows.
    pub relu: bool,
    /// Whether mean and variance are running ones.
    pub fixed: bool,
}

/// What has a number by channel.
#[derive(Clone, Copy)]
pub struct Scale<'a> {
    pub weight: &'a Tensor,
    pub bias: &'a Tensor,
}

/// `(channels, parts, 4)`: the shape of what [`Norm::record_observe`] and [`Norm::record_backward`] take for themselves.
pub fn parts(channels: usize, cols: usize) -> Vec<usize> {
    vec![channels, (cols / 4).div_ceil(PART), 4]
}
/// `(channels, 2)`: the shape of moments and sums.
pub fn pairs(channels: usize) -> Vec<usize> {
    vec![channels, 2]
}

impl Norm<'_> {
    fn args(&self) -> Args {
        Args {
            channels: self.channels as u32,
            quads: (self.cols / 4) as u32,
            batch_quads: (self.batch / 4) as u32,
            parts: parts(self.channels, self.cols)[1] as u32,
            epsilon: self.epsilon,
            fixed: u32::from(self.fixed),
        }
    }
    fn len(&self) -> usize {
        self.channels * self.cols
    }
    fn rows(&self) -> u64 {
        self.channels as u64
    }
    fn all_parts(&self) -> u64 {
        parts(self.channels, self.cols)[..2].iter().product::<usize>() as u64
    }

    /// The moments of each row of `x`, and what running statistics move by: its mean, and its variance over n - 1.
    pub fn record_observe(
        &self,
        rec: &mut Recorder,
        x: &Tensor,
        parts: &Tensor,
        moments: &Tensor,
        [mean, variance]: [&Tensor; 2],
    ) -> Result<()> {
        let args = self.args();
        let binds = bind! { args: &args, step: self.step, x: x, new_parts: parts };
        rec.dispatch(
            &kernel(self.fetch, OBSERVE, twin_observe),
            binds,
            self.all_parts(),
            4 * self.len() as u64,
        )?;
        let binds = bind! {
            args: &args, parts: parts, new_moments: moments, batch_mean: mean, batch_variance: variance
        };
        rec.dispatch(&kernel(self.fetch, GATHER, twin_gather), binds, self.rows(), 8 * self.all_parts())
    }

    /// The moments that running statistics are.
    pub fn record_recall(
        &self,
        rec: &mut Recorder,
        [mean, variance]: [&Tensor; 2],
        moments: &Tensor,
    ) -> Result<()> {
        let binds = bind! {
            args: &self.args(), running_mean: mean, running_variance: variance, new_moments: moments
        };
        let own = kernel(self.fetch, RECALL, twin_recall);
        rec.dispatch(&own, binds, groups(self.channels, self.fetch.lanes()), 3 * self.rows())
    }

    /// `y = (x - mean) / deviation * weight + bias`, rectified if a ReLU follows.
    pub fn record_normalise(
        &self,
        rec: &mut Recorder,
        x: &Tensor,
        moments: &Tensor,
        scale: Scale,
        y: &Tensor,
    ) -> Result<()> {
        let Scale { weight, bias } = scale;
        let binds = bind! { args: &self.args(), x: x, moments: moments, weight: weight, bias: bias, y: y };
        let by = |twin| kernel(self.fetch, NORMALISE, twin);
        let own = match self.relu {
            false => by(|t| twin_normalise(t, false)),
            true => by(|t| twin_normalise(t, true)).with(&[("RELU", 1.0)]),
        };
        rec.dispatch(&own, binds, groups(self.len() / 4, PART / 4), 4 * self.len() as u64)
    }

    /// The gradients of weight and bias, and `sums`: the means that the gradient of x takes.
    #[expect(clippy::too_many_arguments, reason = "each is a tensor of the formula")]
    pub fn record_backward(
        &self,
        rec: &mut Recorder,
        x: &Tensor,
        d_y: &Tensor,
        moments: &Tensor,
        scale: Scale,
        parts: &Tensor,
        sums: &Tensor,
        [d_weight, d_bias]: [&Tensor; 2],
    ) -> Result<()> {
        let (args, step, Scale { weight, bias }) = (self.args(), self.step, scale);
        let binds = bind! {
            args: &args, step: step, x: x, d_y: d_y, moments: moments, weight: weight, bias: bias, new_parts: parts
        };
        let by = |twin| kernel(self.fetch, OBSERVE_BACKWARD, twin);
        let own = match self.relu {
            false => by(|t| twin_observe_backward(t, false)),
            true => by(|t| twin_observe_backward(t, true)).with(&[("RELU", 1.0)]),
        };
        rec.dispatch(&own, binds, self.all_parts(), 5 * self.len() as u64)?;
        let binds = bind! {
            args: &args, step: step, parts: parts, d_weight: d_weight, d_bias: d_bias, new_sums: sums
        };
        rec.dispatch(
            &kernel(self.fetch, GATHER_BACKWARD, twin_gather_backward),
            binds,
            self.rows(),
            2 * self.all_parts(),
        )
    }

    /// The gradient of x, or `+=` if `adds`; 0 in columns without a sample. By running statistics `sums` is not read.
    #[expect(clippy::too_many_arguments, reason = "each is a tensor of the formula")]
    pub fn record_differentiate(
        &self,
        rec: &mut Recorder,
        x: &Tensor,
        d_y: &Tensor,
        moments: &Tensor,
        scale: Scale,
        sums: &Tensor,
        d_x: &Tensor,
        adds: bool,
    ) -> Result<()> {
        let (args, step, Scale { weight, bias }) = (self.args(), self.step, scale);
        let binds = bind! {
            args: &args, step: step, x: x, d_y: d_y, moments: moments, weight: weight, bias: bias, sums: sums,
            d_x: d_x
        };
        let by = |twin| kernel(self.fetch, DIFFERENTIATE, twin);
        let own = match (self.relu, adds) {
            (false, false) => by(|t| twin_differentiate(t, false, false)),
            (false, true) => by(|t| twin_differentiate(t, false, true)).with(&[("ADDS", 1.0)]),
            (true, false) => by(|t| twin_differentiate(t, true, false)).with(&[("RELU", 1.0)]),
            (true, true) => by(|t| twin_differentiate(t, true, true)).with(&[("RELU", 1.0), ("ADDS", 1.0)]),
        };
        rec.dispatch(&own, binds, groups(self.len() / 4, PART / 4), 8 * self.len() as u64)
    }
}

/// The columns of a row that hold a sample.
fn live(t: &Twin, args: &Args) -> Vec<usize> {
    let (step, batch): (Step, _) = (t.get("step"), 4 * args.batch_quads as usize);
    (0..4 * args.quads as usize).filter(|col| col % batch < step.live as usize).collect()
}

/// All of a row stands in its first part: how it is divided is the device's affair.
fn twin_observe(t: &Twin) {
    let args: Args = t.get("args");
    let (x, live, mut parts) = (t.f32("x"), live(t, &args), t.f32_mut("new_parts"));
    parts.fill(0.0);
    for channel in 0..args.channels as usize {
        let row = &x[channel * 4 * args.quads as usize..];
        let count = live.len().max(1) as f64;
        let mean = live.iter().map(|&col| f64::from(row[col])).sum::<f64>() / count;
        let squares: f64 = live.iter().map(|&col| (f64::from(row[col]) - mean).powi(2)).sum();
        let first = channel * args.parts as usize * 4;
        parts[first..first + 3].copy_from_slice(&[live.len() as f32, mean as f32, squares as f32]);
    }
}

fn twin_gather(t: &Twin) {
    let args: Args = t.get("args");
    let (parts, mut moments) = (t.f32("parts"), t.f32_mut("new_moments"));
    let (mut means, mut variances) = (t.f32_mut("batch_mean"), t.f32_mut("batch_variance"));
    for channel in 0..args.channels as usize {
        let first = channel * args.parts as usize * 4;
        let [n, mean, squares] = [0, 1, 2].map(|k| f64::from(parts[first + k]));
        let deviation = (squares / n.max(1.0) + f64::from(args.epsilon)).sqrt();
        moments[2 * channel..2 * channel + 2].copy_from_slice(&[mean as f32, (1.0 / deviation) as f32]);
        (means[channel], variances[channel]) = (mean as f32, (squares / (n - 1.0).max(1.0)) as f32);
    }
}

fn twin_recall(t: &Twin) {
    let args: Args = t.get("args");
    let (mean, variance, mut moments) =
        (t.f32("running_mean"), t.f32("running_variance"), t.f32_mut("new_moments"));
    for channel in 0..args.channels as usize {
        let deviation = (f64::from(variance[channel]) + f64::from(args.epsilon)).sqrt();
        moments[2 * channel] = mean[channel];
        moments[2 * channel + 1] = (1.0 / deviation) as f32;
    }
}

/// A row's mean, 1 / deviation, weight and bias.
fn row_of(t: &Twin, channel: usize) -> [f64; 4] {
    let moments = t.f32("moments");
    [moments[2 * channel], moments[2 * channel + 1], t.f32("weight")[channel], t.f32("bias")[channel]]
        .map(f64::from)
}

fn twin_normalise(t: &Twin, relu: bool) {
    let args: Args = t.get("args");
    let (x, mut y, cols) = (t.f32("x"), t.f32_mut("y"), 4 * args.quads as usize);
    for channel in 0..args.channels as usize {
        let [mean, scale, weight, bias] = row_of(t, channel);
        for i in channel * cols..(channel + 1) * cols {
            let value = ((f64::from(x[i]) - mean) * scale * weight + bias) as f32;
            y[i] = if relu { rectified(value) } else { value };
        }
    }
}

/// By column with a sample: where it is, x', and the gradient before a ReLU.
fn gradients(t: &Twin, args: &Args, channel: usize, relu: bool) -> Vec<(usize, f64, f64)> {
    let (x, d_y) = (t.f32("x"), t.f32("d_y"));
    let [mean, scale, weight, bias] = row_of(t, channel);
    let of = |col: usize| {
        let i = channel * 4 * args.quads as usize + col;
        let normal = (f64::from(x[i]) - mean) * scale;
        let open = !relu || normal * weight + bias > 0.0;
        (i, normal, if open { f64::from(d_y[i]) } else { 0.0 })
    };
    live(t, args).into_iter().map(of).collect()
}

fn twin_observe_backward(t: &Twin, relu: bool) {
    let args: Args = t.get("args");
    let mut parts = t.f32_mut("new_parts");
    parts.fill(0.0);
    for channel in 0..args.channels as usize {
        let all = gradients(t, &args, channel, relu);
        let first = channel * args.parts as usize * 4;
        parts[first] = all.iter().map(|(_, normal, d)| normal * d).sum::<f64>() as f32;
        parts[first + 1] = all.iter().map(|(_, _, d)| d).sum::<f64>() as f32;
    }
}

fn twin_gather_backward(t: &Twin) {
    let args: Args = t.get("args");
    let (parts, count) = (t.f32("parts"), live(t, &args).len().max(1) as f64);
    let (mut d_weight, mut d_bias, mut sums) =
        (t.f32_mut("d_weight"), t.f32_mut("d_bias"), t.f32_mut("new_sums"));
    for channel in 0..args.channels as usize {
        let first = channel * args.parts as usize * 4;
        (d_weight[channel], d_bias[channel]) = (parts[first], parts[first + 1]);
        sums[2 * channel] = (f64::from(parts[first]) / count) as f32;
        sums[2 * channel + 1] = (f64::from(parts[first + 1]) / count) as f32;
    }
}

fn twin_differentiate(t: &Twin, relu: bool, adds: bool) {
    let args: Args = t.get("args");
    let (sums, mut d_x) = (t.f32("sums"), t.f32_mut("d_x"));
    if !adds {
        d_x.fill(0.0);
    }
    for channel in 0..args.channels as usize {
        let [_, scale, weight, _] = row_of(t, channel);
        let [by_normal, plain] = [0, 1].map(|k| f64::from(sums[2 * channel + k]));
        for (i, normal, d) in gradients(t, &args, channel, relu) {
            let mean = if args.fixed == 0 { plain + normal * by_normal } else { 0.0 };
            d_x[i] += ((d - mean) * weight * scale) as f32;
        }
    }
}
