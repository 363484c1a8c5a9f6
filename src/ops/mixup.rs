//! Mixup: training samples that are mixtures of two, and losses that are, too.
//!
//! Zhang, Cisse, Dauphin & Lopez-Paz, 2018, "mixup: beyond empirical risk minimization", Section 2: `x = lambda x_i + (1 -
//! lambda) x_j`, and the target likewise, `lambda` from Beta(alpha, alpha), one for a batch as in their code. Sample `j` is the
//! one `shift` columns further on in the batch, whose order is a random one; each shift but none is as likely. With the roles
//! of both exchanged a batch is one of `1 - lambda` and the opposite shift, so that the larger of `lambda` and `1 - lambda`
//! may be taken for `lambda`: a sample's own label is then the heavier one.

use super::{Step, groups};
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance};
use crate::gpu::{Dtype, Gpu, Kernel, Recorder, Tensor, Twin, Uniform};
use crate::random::{Stream, word};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/mixup.wgsl`.
    pub struct Args { len: u32, cols: u32 }
}
wgsl_struct! {
    /// See `shaders/ops/partner.wgsl`.
    pub struct Mix { share: f32, shift: u32 }
}

const MAIN: Kernel = Kernel::own(source!("ops/mixup"), twin).proven();
const WG: usize = 64;

/// How the batches of a run are mixed.
pub struct Mixup {
    alpha: f64,
    /// A [`Mix`].
    pub mix: Uniform,
    /// The batch as it was: (features, cols).
    plain: Tensor,
}

impl Mixup {
    pub fn new(gpu: &Gpu, alpha: f64, features: usize, cols: usize) -> Result<Self> {
        let plain = gpu.tensor("batch before it is mixed", Dtype::F32, &[features, cols])?;
        Ok(Self { alpha, mix: gpu.uniform("mix_of", &Mix { share: 1.0, shift: 0 })?, plain })
    }
    /// Writes how batch number `batch` of so many samples is mixed: a function of these and the seed.
    pub fn enter(&self, seed: u64, batch: u32, live: usize) -> Result<()> {
        self.mix.write(&Mix::of(self.alpha, seed, batch, live))
    }
    /// Batches stay as they are from now on.
    pub fn rest(&self) -> Result<()> {
        self.mix.write(&Mix { share: 1.0, shift: 0 })
    }
    /// Where a batch is written before it is mixed.
    pub fn plain(&self) -> &Tensor {
        &self.plain
    }
    /// Records `x` (features, cols) from the batch that was written.
    pub fn record(&self, rec: &mut Recorder, step: &Uniform, x: &Tensor) -> Result<()> {
        record(rec, step, &self.mix, &self.plain, x)
    }
    pub fn bytes(&self) -> u64 {
        self.plain.bytes()
    }
}

impl Mix {
    /// That of a batch of so many samples.
    fn of(alpha: f64, seed: u64, batch: u32, live: usize) -> Self {
        let lambda = beta(alpha, seed, batch);
        // Of 32 bits: a shift is off its probability by a share below live / 2^32.
        let drawn = (u64::from(word(seed, Stream::Mixup, batch, 1, 0)) * (live.max(2) as u64 - 1)) >> 32;
        let shift = if live < 2 { 0 } else { 1 + drawn as u32 };
        Self { share: lambda.max(1.0 - lambda) as f32, shift }
    }
}

/// A number from Beta(alpha, alpha): `a / (a + b)` of two from Gamma(alpha).
fn beta(alpha: f64, seed: u64, batch: u32) -> f64 {
    let [a, b] = [2, 3].map(|tensor| log_gamma_draw(alpha, seed, batch, tensor));
    1.0 / (1.0 + (b - a).exp())
}

/// The logarithm of a number from Gamma(alpha): Marsaglia & Tsang, 2000, "A simple method for generating gamma variables". A
/// small alpha gives numbers that only their logarithm tells from 0.
fn log_gamma_draw(alpha: f64, seed: u64, batch: u32, tensor: u32) -> f64 {
    let unit = |i: u32| (f64::from(word(seed, Stream::Mixup, batch, tensor, i)) + 0.5) / (1u64 << 32) as f64;
    // Below 1 by way of alpha + 1.
    let (shape, lift) = if alpha < 1.0 { (alpha + 1.0, unit(0).ln() / alpha) } else { (alpha, 0.0) };
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    for round in 0.. {
        let [u, v, w] = [1, 2, 3].map(|i| unit(4 * round + 4 + i));
        let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
        let cube = (1.0 + c * normal).powi(3);
        if cube > 0.0 && w.ln() < 0.5 * normal * normal + d - d * cube + d * cube.ln() {
            return (d * cube).ln() + lift;
        }
    }
    unreachable!("more than 19 of 20 rounds succeed")
}

fn record(rec: &mut Recorder, step: &Uniform, mix: &Uniform, x: &Tensor, y: &Tensor) -> Result<()> {
    let args = Args { len: x.len() as u32, cols: x.shape[1] as u32 };
    let binds = bind! { args: &args, step: step, mix_of: mix, x: x, y: y };
    rec.dispatch(&MAIN, binds, groups(x.len(), WG), 3 * x.len() as u64)
}

/// The column that a column is mixed with.
pub(super) fn partner(mix: &Mix, step: &Step, col: usize) -> usize {
    (col + mix.shift as usize) % step.live.max(1) as usize
}

fn twin(t: &Twin) {
    let (args, step, mix): (Args, Step, Mix) = (t.get("args"), t.get("step"), t.get("mix_of"));
    let (x, mut y) = (t.f32("x"), t.f32_mut("y"));
    for i in 0..y.len() {
        let col = i % args.cols as usize;
        let (own, other) = (f64::from(x[i]), f64::from(x[i - col + partner(&mix, &step, col)]));
        let share = f64::from(mix.share);
        y[i] = if col < step.live as usize { (share * own + (1.0 - share) * other) as f32 } else { 0.0 };
    }
}

pub fn checks() -> Vec<Check> {
    vec![Check::new("ops/mixup", |t, n| {
        let live = n.saturating_sub(1).max(1).min(n);
        let step = t.gpu.uniform("step", &Step { live: live as u32, ..Step::default() })?;
        let mix = t.gpu.uniform("mix_of", &Mix { share: 0.7, shift: live as u32 / 3 })?;
        let (x, y) = (t.input("x", &[5, n])?, t.input("y", &[5, n])?);
        // Two products and a sum of numbers below 1, perhaps fused.
        t.compare(&y, Tolerance { abs: 3e-7, rel: 3e-7 });
        record(&mut t.rec, &step, &mix, &x, &y)
    })]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean, variance and fourth moment of Beta(a, a): 1/2, 1 / (4 (2a + 1)), 3 / (16 (2a + 1) (2a + 3)).
    #[test]
    fn shares_have_the_moments_of_a_beta_distribution() {
        const DRAWS: u32 = 20_000;
        for alpha in [0.05, 0.2, 1.0, 2.0, 16.0] {
            let drawn: Vec<f64> = (0..DRAWS).map(|batch| beta(alpha, 3, batch) - 0.5).collect();
            let moment = |power| drawn.iter().map(|x| x.powi(power)).sum::<f64>() / f64::from(DRAWS);
            let a = 2.0 * alpha + 1.0;
            let (second, fourth) = (1.0 / (4.0 * a), 3.0 / (16.0 * a * (a + 2.0)));
            // Five deviations of a mean over so many draws.
            let near = |got: f64, want: f64, variance: f64| {
                assert!(
                    (got - want).abs() <= 5.0 * (variance / f64::from(DRAWS)).sqrt(),
                    "alpha {alpha}: {got}, not {want}"
                );
            };
            near(moment(1), 0.0, second);
            near(moment(2), second, fourth);
            near(moment(4), fourth, 1.0 / 256.0);
        }
    }

    #[test]
    fn every_shift_but_none_is_drawn_and_a_sample_of_its_own_stays() {
        let mut often = [0u32; 5];
        for batch in 0..4000 {
            let mix = Mix::of(0.4, 7, batch, 5);
            assert!((0.5..=1.0).contains(&mix.share));
            often[mix.shift as usize] += 1;
        }
        // 1000 each; the deviation is 27.
        assert!(often[0] == 0 && often[1..].iter().all(|n| n.abs_diff(1000) < 140), "{often:?}");
        assert_eq!(Mix::of(0.4, 7, 3, 1).shift, 0);
        let drawn = |seed, batch| Mix::of(0.4, seed, batch, 5).share;
        assert!(drawn(7, 3) == drawn(7, 3) && drawn(7, 3) != drawn(8, 3) && drawn(7, 3) != drawn(7, 4));
    }
}
