//! What newly grown weights start with, where that is not 0.
//!
//! The values that the code of Evci et al., 2020 ("Rigging the Lottery") offers, each over a divisor. A draw is a
//! function of seed, step, parameter and index, so that masked and packed storage and a resumed run have the same.

use crate::error::Result;
use crate::gpu::check::{Check, Tolerance};
use crate::gpu::{Kernel, Recorder, Tensor, Twin, Uniform};
use crate::ops::groups;
use crate::random::{self, Stream};
use crate::sparsity::select::candidates::Draw;
use crate::sparsity::select::collect::List;
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/sparsity/update/grown.wgsl`.
    pub struct Args {
        len: u32, kind: u32, first_index: u32, tensor: u32, seed_low: u32, seed_high: u32, stream: u32,
        count: f32, bound: f32, scale: f32,
    }
}

const MASKED: Kernel = Kernel::own(source!("sparsity/update/grown"), twin_masked).entry("masked");
const LISTED: Kernel = Kernel::own(source!("sparsity/update/grown"), twin_listed).entry("listed");
const WG: usize = 64;

/// Where the value of a newly grown weight comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    Zeros = 0,
    /// Drawn anew as before the first step.
    Initial = 1,
    /// Normal, with the deviation of the whole weight, pruned indices included.
    Normal = 2,
    /// Uniform within plus and minus the mean magnitude of the whole weight, pruned indices included.
    Uniform = 3,
    /// The gradient.
    Gradient = 4,
    /// The sign of the gradient.
    Sign = 5,
}

impl Kind {
    pub const ALL: &[Kind] =
        &[Kind::Zeros, Kind::Initial, Kind::Normal, Kind::Uniform, Kind::Gradient, Kind::Sign];

    /// As recipes write it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Zeros => "zeros",
            Kind::Initial => "initial",
            Kind::Normal => "normal",
            Kind::Uniform => "uniform",
            Kind::Gradient => "gradient",
            Kind::Sign => "gradient-sign",
        }
    }
    /// Whether it is a share of the gradient.
    pub fn is_gradient(self) -> bool {
        matches!(self, Kind::Gradient | Kind::Sign)
    }
    /// Whether it depends on the weight as it was before the update.
    pub fn is_measured(self) -> bool {
        matches!(self, Kind::Normal | Kind::Uniform)
    }
}

/// What newly grown weights start with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Value {
    pub kind: Kind,
    /// What every value is divided by.
    pub divisor: f32,
}

/// The weight that values are for.
#[derive(Clone, Copy)]
pub struct Origin<'a> {
    pub seed: u64,
    /// The number of the parameter.
    pub tensor: u32,
    /// Its weights, pruned ones included.
    pub count: usize,
    /// Half of the width that its first values were drawn from.
    pub bound: f32,
    /// The sums of [`crate::ops::moments`] over it.
    pub sums: &'a Tensor,
    /// Holds a `Draw`.
    pub draw: &'a Uniform,
}

impl Origin<'_> {
    fn args(&self, value: Value, len: usize, first_index: usize) -> Args {
        Args {
            len: len as u32,
            kind: value.kind as u32,
            first_index: first_index as u32,
            tensor: self.tensor,
            seed_low: self.seed as u32,
            seed_high: (self.seed >> 32) as u32,
            stream: Stream::Grown as u32,
            count: self.count as f32,
            bound: self.bound,
            scale: 1.0 / value.divisor,
        }
    }
}

/// Sets the weights from `first_index` on that `grow` has and `mask`, which is still that of before, has not.
pub fn record_masked(
    rec: &mut Recorder,
    value: Value,
    origin: Origin,
    (first_index, grow, mask): (usize, &Tensor, &Tensor),
    grad: &Tensor,
    weight: &Tensor,
) -> Result<()> {
    let args = origin.args(value, weight.len(), first_index);
    let binds = bind! { args: &args, draw: origin.draw, sums: origin.sums, grow: grow, mask: mask, grad: grad,
    weight: weight };
    rec.dispatch(&MASKED, binds, groups(weight.len().div_ceil(32), WG), 0)
}

/// Computes the value of each index of a list whose scores are gradients.
pub fn record_listed(
    rec: &mut Recorder,
    value: Value,
    origin: Origin,
    list: &List,
    values: &Tensor,
) -> Result<()> {
    let args = origin.args(value, values.len(), 0);
    let binds = bind! { args: &args, draw: origin.draw, sums: origin.sums, index: &list.index, score: &list.score,
    value: values };
    rec.dispatch(&LISTED, binds, groups(values.len(), WG), 0)
}

/// Uniform in -1 .. 1.
fn uniform(words: [u32; 4], index: u32) -> f32 {
    2.0 * random::unit(words[index as usize % 4]) - 1.0
}

/// Normal by Box and Muller (1958), from two words of a block.
fn normal(words: [u32; 4], index: u32) -> f32 {
    let pair = index as usize % 4 / 2 * 2;
    let unit = |word: u32| f64::from(random::unit(word));
    let radius = (-2.0 * (1.0 - unit(words[pair])).ln()).sqrt();
    let angle = std::f64::consts::TAU * (unit(words[pair + 1]) - 0.5);
    (radius * if index.is_multiple_of(2) { angle.cos() } else { angle.sin() }) as f32
}

/// The value at an index; `sums` are those of the whole weight.
fn value(args: &Args, step: u32, sums: &[f32], index: u32, grad: f32) -> f32 {
    let counter = [index / 4, args.tensor, step, args.stream];
    let words = || random::philox4x32_10(counter, [args.seed_low, args.seed_high]);
    let share = |sum: f32| sum / args.count;
    let deviation = || (share(sums[2]) - share(sums[0]) * share(sums[0])).max(0.0).sqrt();
    let kind = Kind::ALL[args.kind as usize];
    match kind {
        Kind::Zeros => 0.0,
        Kind::Initial => uniform(words(), index) * args.bound * args.scale,
        Kind::Normal => normal(words(), index) * deviation() * args.scale,
        Kind::Uniform => uniform(words(), index) * share(sums[1]) * args.scale,
        Kind::Gradient => grad * args.scale,
        Kind::Sign if grad == 0.0 => 0.0,
        Kind::Sign => grad.signum() * args.scale,
    }
}

fn twin_masked(t: &Twin) {
    let (args, draw): (Args, Draw) = (t.get("args"), t.get("draw"));
    let (sums, grow, mask, grad) = (t.f32("sums"), t.u32("grow"), t.u32("mask"), t.f32("grad"));
    for (i, weight) in t.f32_mut("weight").iter_mut().enumerate() {
        if (grow[i / 32] & !mask[i / 32]) >> (i % 32) & 1 == 1 {
            *weight = value(&args, draw.step, &sums, args.first_index + i as u32, grad[i]);
        }
    }
}

fn twin_listed(t: &Twin) {
    let (args, draw): (Args, Draw) = (t.get("args"), t.get("draw"));
    let (sums, index, score) = (t.f32("sums"), t.u32("index"), t.f32("score"));
    for (i, new) in t.f32_mut("value").iter_mut().enumerate() {
        *new = value(&args, draw.step, &sums, index[i], score[i]);
    }
}

pub fn checks() -> Vec<Check> {
    let one = |&kind: &Kind| {
        let tolerance = match kind {
            // WGSL allows `cos` an error of 2^-11, which a radius of up to 5.8 multiplies, here times .5.
            Kind::Normal => Tolerance { abs: 1.5e-3, rel: 0.0 },
            // A division, of which WGSL asks 2.5 units in the last place.
            Kind::Uniform => Tolerance::ROUNDING,
            _ => Tolerance::EXACT,
        };
        Check::new(format!("sparsity/update/grown ({})", kind.name()), move |t, n| {
            // Of 100 weights: a mean of .02 and a deviation of .5.
            let sums = t.gpu.upload_f32("sums", &[3], &[2.0, 40.0, 25.04])?;
            let draw = t.gpu.uniform("draw", &Draw { step: 9 })?;
            let (seed, tensor) = (1 << 40 | 7, 2);
            let origin = Origin { seed, tensor, count: 100, bound: 0.3, sums: &sums, draw: &draw };
            let value = Value { kind, divisor: 4.0 };
            let words = n.div_ceil(32);
            let (grow, mask) = (t.bits("grow", words)?, t.bits("mask", words)?);
            let (grad, weight) = (t.input("grad", &[n])?, t.input("weight", &[n])?);
            t.compare(&weight, tolerance);
            record_masked(&mut t.rec, value, origin, (n, &grow, &mask), &grad, &weight)?;
            let list = List { score: t.input("score", &[n])?, index: t.indices("index", &[n], 1 << 30)? };
            let values = t.output("value", &[n], tolerance)?;
            record_listed(&mut t.rec, value, origin, &list, &values)
        })
    };
    Kind::ALL.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bounds are five standard errors of each moment at 40,000 draws.
    #[test]
    fn draws_have_the_moments_of_their_distribution() {
        let n = 40_000u32;
        let moment = |draw: fn([u32; 4], u32) -> f32, power: i32| {
            let at = |i: u32| draw(random::words(5, Stream::Grown, 3, 1, i / 4), i);
            (0..n).map(|i| f64::from(at(i)).powi(power)).sum::<f64>() / f64::from(n)
        };
        for (name, got, want, variance) in [
            ("uniform mean", moment(uniform, 1), 0.0, 1.0 / 3.0),
            ("uniform square", moment(uniform, 2), 1.0 / 3.0, 1.0 / 5.0 - 1.0 / 9.0),
            ("normal mean", moment(normal, 1), 0.0, 1.0),
            ("normal square", moment(normal, 2), 1.0, 2.0),
            ("normal cube", moment(normal, 3), 0.0, 15.0),
            ("normal fourth", moment(normal, 4), 3.0, 96.0),
        ] {
            let bound = 5.0 * f64::sqrt(variance / f64::from(n));
            assert!((got - want).abs() <= bound, "{name}: {got}, want {want} within {bound}");
        }
    }
}
