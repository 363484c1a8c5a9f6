//! Checks of batch normalisation on ragged sizes, one of them with a mean that is large beside the deviation.

use super::{Fetch, Norm, Scale, pairs, parts};
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance, Trial};
use crate::gpu::{Dtype, Tensor, Uniform};
use crate::ops::Step;

/// Values of a check: rows of several parts at the largest size, and columns without a sample.
struct Case {
    step: Uniform,
    shape: [usize; 2],
    batch: usize,
}

fn case(t: &Trial, n: usize) -> Result<Case> {
    let (channels, sites, batch) = (n.min(19), 1 + n, 4 * (1 + n % 7));
    let step = t.gpu.uniform("step", &Step { live: batch as u32 - 1, ..Step::default() })?;
    Ok(Case { step, shape: [channels, sites * batch], batch })
}

impl Case {
    fn norm(&self, fetch: Fetch, relu: bool, fixed: bool) -> Norm<'_> {
        let [channels, cols] = self.shape;
        Norm { fetch, step: &self.step, channels, cols, batch: self.batch, epsilon: 1e-5, relu, fixed }
    }
}

/// Numbers of a parameter between 0.5 and 1.5.
fn around_one(t: &mut Trial, label: &str, n: usize) -> Result<Tensor> {
    let values: Vec<f32> = t.values(n).into_iter().map(|value| 1.0 + value / 2.0).collect();
    t.gpu.upload_f32(label, &[n], &values)
}

/// Deviations are above 0.1 here, so that rounding grows tenfold at most.
const NEAR: Tolerance = Tolerance { abs: 4e-6, rel: 4e-6 };

fn forward(fetch: Fetch, relu: bool, mean: f32, near: Tolerance) -> Check {
    Check::new(format!("ops/batch_norm ({fetch:?}, relu {relu}, mean {mean})"), move |t: &mut Trial, n| {
        let case = case(t, n)?;
        let (norm, channels) = (case.norm(fetch, relu, false), case.shape[0]);
        let values: Vec<f32> =
            t.values(case.shape.iter().product()).into_iter().map(|value| value + mean).collect();
        let x = t.gpu.upload_f32("x", &case.shape, &values)?;
        let (weight, bias) = (around_one(t, "weight", channels)?, t.input("bias", &[channels])?);
        let parts = t.gpu.tensor("parts", Dtype::F32, &parts(channels, case.shape[1]))?;
        let moments = t.output("moments", &pairs(channels), near)?;
        let [mean, variance] =
            [t.output("mean", &[channels], near)?, t.output("variance", &[channels], NEAR)?];
        let y = t.output("y", &case.shape, near)?;
        norm.record_observe(&mut t.rec, &x, &parts, &moments, [&mean, &variance])?;
        norm.record_normalise(&mut t.rec, &x, &moments, Scale { weight: &weight, bias: &bias }, &y)
    })
}

fn recalled(fetch: Fetch, relu: bool) -> Check {
    Check::new(format!("ops/batch_norm:recall ({fetch:?}, relu {relu})"), move |t: &mut Trial, n| {
        let case = case(t, n)?;
        let (norm, channels) = (case.norm(fetch, relu, true), case.shape[0]);
        let (mean, variance) = (t.input("mean", &[channels])?, around_one(t, "variance", channels)?);
        let (weight, bias) = (around_one(t, "weight", channels)?, t.input("bias", &[channels])?);
        let (x, moments) = (t.input("x", &case.shape)?, t.output("moments", &pairs(channels), NEAR)?);
        let y = t.output("y", &case.shape, NEAR)?;
        norm.record_recall(&mut t.rec, [&mean, &variance], &moments)?;
        norm.record_normalise(&mut t.rec, &x, &moments, Scale { weight: &weight, bias: &bias }, &y)
    })
}

fn backward(fetch: Fetch, relu: bool, fixed: bool) -> Check {
    Check::new(
        format!("ops/batch_norm:backward ({fetch:?}, relu {relu}, fixed {fixed})"),
        move |t: &mut Trial, n| {
            let case = case(t, n)?;
            let (norm, channels) = (case.norm(fetch, relu, fixed), case.shape[0]);
            let (x, d_y) = (t.input("x", &case.shape)?, t.input("d_y", &case.shape)?);
            let (weight, bias) = (around_one(t, "weight", channels)?, t.input("bias", &[channels])?);
            let scale = Scale { weight: &weight, bias: &bias };
            let moments = around_one(t, "moments", 2 * channels)?.first(&pairs(channels));
            let long = Tolerance::sum(2 * case.shape[1]);
            let parts = t.gpu.tensor("parts", Dtype::F32, &parts(channels, case.shape[1]))?;
            let sums = t.output("sums", &pairs(channels), long)?;
            let [d_weight, d_bias] =
                [t.output("d_w", &[channels], long)?, t.output("d_b", &[channels], long)?];
            let (d_x, more) = (t.output("d_x", &case.shape, NEAR)?, t.input("more", &case.shape)?);
            t.compare(&more, NEAR);
            norm.record_backward(&mut t.rec, &x, &d_y, &moments, scale, &parts, &sums, [&d_weight, &d_bias])?;
            norm.record_differentiate(&mut t.rec, &x, &d_y, &moments, scale, &sums, &d_x, false)?;
            norm.record_differentiate(&mut t.rec, &x, &d_y, &moments, scale, &sums, &more, true)
        },
    )
}

pub fn checks() -> Vec<Check> {
    // The mean is rounded to 6e-5 / 2, over a deviation of 0.57 and times a weight of 1.5; x' of single values more.
    let far = Tolerance { abs: 3e-4, rel: 4e-6 };
    let of = |fetch| {
        let mut all = vec![forward(fetch, false, 0.0, NEAR), forward(fetch, true, 0.0, NEAR)];
        all.push(forward(fetch, false, 1000.0, far));
        all.extend([false, true].map(|relu| recalled(fetch, relu)));
        let flags = [[false, false], [false, true], [true, false], [true, true]];
        all.extend(flags.map(|[relu, fixed]| backward(fetch, relu, fixed)));
        all
    };
    Fetch::ALL.into_iter().flat_map(of).collect()
}
