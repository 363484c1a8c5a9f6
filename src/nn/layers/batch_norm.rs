//! Batch normalisation: each channel to mean 0 and variance 1, then scaled and shifted.   Ioffe & Szegedy 2015.

use toml::Value;

use super::super::coupling::Passing;
use super::super::layer::{Backward, Built, Context, Entry, Extra, Held, Layer, Needs, Rectifies, Site};
use crate::error::Result;
use crate::gpu::{Dtype, Gpu, Recorder, Tensor};
use crate::ops::batch_norm::{Norm, Scale, pairs, parts};
use crate::ops::fetch::Fetch;
use crate::param::{Param, ParamId};

pub const ENTRY: Entry = Entry {
    name: "batch_norm",
    about: "each channel to mean 0 and variance 1 over the batch, by running statistics in evaluations; then times a weight plus a bias if `affine` (Ioffe & Szegedy 2015)",
    required: Vec::new,
    optional: || {
        vec![
            ("epsilon", Value::Float(1e-5)),
            ("momentum", Value::Float(0.1)),
            ("affine", Value::Boolean(true)),
        ]
    },
    build: |context| {
        let (input, settings) = (context.input()?.clone(), context.settings);
        let (epsilon, momentum) = (settings.f32("epsilon")?, settings.f32("momentum")?);
        if !(epsilon >= f32::MIN_POSITIVE) {
            return Err(
                settings.wrong("epsilon", "a number above 1.2e-38: devices may flush smaller ones to 0")
            );
        }
        if !(momentum > 0.0 && momentum <= 1.0) {
            return Err(settings.wrong("momentum", "a number above 0, up to 1"));
        }
        let affine = settings.bool("affine")?;
        let scale = [("weight", 1.0, None), ("bias", 0.0, None)];
        let running = [("running_mean", 0.0, Some(momentum)), ("running_var", 1.0, Some(momentum))];
        let declared = scale.into_iter().filter(|_| affine).chain(running);
        let params = declared.map(|own| declare(context, input.channels, own)).collect();
        let layer = BatchNorm { channels: input.channels, epsilon, affine, relu: false };
        Ok(Built { layer: Box::new(layer), output: input, params })
    },
};

fn declare(context: &mut Context, channels: usize, own: (&str, f32, Option<f32>)) -> ParamId {
    let (what, value, momentum) = own;
    let mut param = Param::new(&format!("{}.{what}", context.name), &[channels], Box::new(move |_| value));
    param.momentum = momentum;
    context.params.declare(param)
}

struct BatchNorm {
    channels: usize,
    epsilon: f32,
    affine: bool,
    relu: bool,
}

/// Extras, by number.
const MOMENTS: usize = 0;
const PARTS: usize = 1;
const BACKWARD_PARTS: usize = 2;
const SUMS: usize = 3;

impl BatchNorm {
    fn norm<'a>(&self, gpu: &Gpu, site: Site<'a>) -> Norm<'a> {
        let during = site.during();
        Norm {
            fetch: Fetch::of(gpu),
            step: during.step,
            channels: self.channels,
            cols: site.cols,
            batch: site.batch,
            epsilon: self.epsilon,
            relu: self.relu,
            fixed: !during.trains || self.statistics(site)[0].frozen,
        }
    }
    fn statistics<'a>(&self, site: Site<'a>) -> [&'a Param; 2] {
        let first = site.params.len() - 2;
        [0, 1].map(|number| &site.set[site.params[first + number]])
    }
    /// Weight and bias; 1 and 0 where there are none.
    fn scale(&self, rec: &Recorder, site: Site) -> Result<[Tensor; 2]> {
        if self.affine {
            return Ok([0, 1].map(|number| site.set[site.params[number]].segments[0].weight.clone()));
        }
        let all = |value| rec.gpu.upload_f32("no scale", &[self.channels], &vec![value; self.channels]);
        Ok([all(1.0)?, all(0.0)?])
    }
}

impl Layer for BatchNorm {
    fn extras(&self, site: Site) -> Vec<Extra> {
        let extra = |shape, held| Extra { dtype: Dtype::F32, shape, held };
        let (pairs, parts) = (pairs(self.channels), parts(self.channels, site.cols));
        vec![
            extra(pairs.clone(), Held::Between),
            extra(parts.clone(), Held::Forward),
            extra(parts, Held::Backward),
            extra(pairs, Held::Backward),
        ]
    }

    fn forward(&self, rec: &mut Recorder, site: Site, x: &[&Tensor], y: &Tensor) -> Result<()> {
        let (norm, moments, statistics) =
            (self.norm(&rec.gpu, site), site.extra(MOMENTS), self.statistics(site));
        if norm.fixed {
            norm.record_recall(rec, statistics.map(|own| &own.segments[0].weight), moments)?;
        } else {
            let observed = statistics.map(|own| &own.segments[0].grad);
            norm.record_observe(rec, x[0], site.extra(PARTS), moments, observed)?;
        }
        let [weight, bias] = &self.scale(rec, site)?;
        norm.record_normalise(rec, x[0], moments, Scale { weight, bias }, y)
    }

    fn backward(&self, rec: &mut Recorder, site: Site, pass: &Backward) -> Result<()> {
        let (norm, moments, sums) = (self.norm(&rec.gpu, site), site.extra(MOMENTS), site.extra(SUMS));
        let [weight, bias] = &self.scale(rec, site)?;
        let (x, d_y, scale) = (pass.x[0], pass.d_y, Scale { weight, bias });
        if pass.grads.is_some() || !norm.fixed {
            // Where nothing is scaled, or not trained, the sums are for the input's gradient alone.
            let unused = || rec.gpu.tensor("no gradient", Dtype::F32, &[self.channels]);
            let [d_weight, d_bias] = match pass.grads.filter(|_| self.affine) {
                Some(grads) => [grads[0][0].clone(), grads[1][0].clone()],
                None => [unused()?, unused()?],
            };
            let parts = site.extra(BACKWARD_PARTS);
            norm.record_backward(rec, x, d_y, moments, scale, parts, sums, [&d_weight, &d_bias])?;
        }
        let Some(d_x) = pass.d_x[0] else { return Ok(()) };
        norm.record_differentiate(rec, x, d_y, moments, scale, sums, d_x.to, d_x.adds)
    }

    fn passing(&self) -> Passing {
        Passing::Alone
    }
    fn needs(&self, _feeds_back: bool) -> Needs {
        Needs { x: true, y: false }
    }
    fn rectify_output(&mut self) -> Option<Rectifies> {
        self.relu = true;
        Some(Rectifies::Itself)
    }
}
