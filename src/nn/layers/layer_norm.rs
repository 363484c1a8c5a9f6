//! Normalisation over the channels of each column: of an image's site or a sequence's step.   Ba, Kiros & Hinton 2016; Zhang &
//! Sennrich 2019.

use toml::Value;

use super::super::layer::{Backward, Built, Context, Entry, Extra, Held, Layer, Needs, Site};
use crate::error::Result;
use crate::gpu::{Dtype, Recorder, Tensor};
use crate::ops::fetch::Fetch;
use crate::ops::layer_norm::Norm;
use crate::param::Param;

pub const LAYER: Entry = Entry {
    name: "layer_norm",
    about: "the channels of each site to mean 0 and variance 1, then times a weight plus a bias, if there is a `bias` (Ba, Kiros & Hinton 2016)",
    required: Vec::new,
    optional: || vec![("epsilon", Value::Float(1e-5)), ("bias", Value::Boolean(true))],
    build: |context| {
        let bias = context.settings.bool("bias")?;
        build(context, false, bias)
    },
};
pub const RMS: Entry = Entry {
    name: "rms_norm",
    about: "the channels of each site over the root of their mean square, times a weight (Zhang & Sennrich 2019)",
    required: Vec::new,
    optional: || vec![("epsilon", Value::Float(1e-5))],
    build: |context| build(context, true, false),
};

fn build(context: &mut Context, rms: bool, bias: bool) -> Result<Built> {
    let (input, settings) = (context.input()?.clone(), context.settings);
    let epsilon = settings.f32("epsilon")?;
    if !(epsilon >= f32::MIN_POSITIVE) {
        return Err(settings.wrong("epsilon", "a number above 1.2e-38: devices may flush smaller ones to 0"));
    }
    let own = [("weight", 1.0), ("bias", 0.0)].into_iter().take(1 + usize::from(bias));
    let declare = |(what, value)| {
        let name = format!("{}.{what}", context.name);
        context.params.declare(Param::new(&name, &[input.channels], Box::new(move |_| value)))
    };
    let params = own.map(declare).collect();
    let layer = LayerNorm { channels: input.channels, epsilon, rms };
    Ok(Built { layer: Box::new(layer), output: input, params })
}

struct LayerNorm {
    channels: usize,
    epsilon: f32,
    rms: bool,
}

/// Extras, by number.
const MOMENTS: usize = 0;
const PARTS: usize = 1;

impl LayerNorm {
    fn norm(&self, fetch: Fetch, site: Site) -> Norm {
        Norm { fetch, channels: self.channels, cols: site.cols, epsilon: self.epsilon, rms: self.rms }
    }
}

impl Layer for LayerNorm {
    fn extras(&self, site: Site) -> Vec<Extra> {
        let norm = self.norm(Fetch::Buffers, site); // shapes do not depend on it
        let extra = |shape, held| Extra { dtype: Dtype::F32, shape, held };
        vec![extra(norm.moments(), Held::Between), extra(norm.parts(), Held::Backward)]
    }
    fn forward(&self, rec: &mut Recorder, site: Site, x: &[&Tensor], y: &Tensor) -> Result<()> {
        let own = |number: usize| site.params.get(number).map(|&id| site.set[id].segments[0].weight.clone());
        let weight = own(0).expect("a norm has a weight");
        let bias = match own(1) {
            Some(bias) => bias,
            None => rec.gpu.upload_f32("no bias", &[self.channels], &vec![0.0; self.channels])?,
        };
        self.norm(Fetch::of(&rec.gpu), site).record_normalise(
            rec,
            x[0],
            [&weight, &bias],
            site.extra(MOMENTS),
            y,
        )
    }
    fn backward(&self, rec: &mut Recorder, site: Site, pass: &Backward) -> Result<()> {
        let (norm, x, d_y, moments) =
            (self.norm(Fetch::of(&rec.gpu), site), pass.x[0], pass.d_y, site.extra(MOMENTS));
        if let Some(grads) = pass.grads {
            let d_bias = match grads.get(1) {
                Some(bias) => bias[0].clone(),
                None => rec.gpu.tensor("no gradient", Dtype::F32, &[self.channels])?,
            };
            norm.record_scale_grads(rec, x, d_y, moments, site.extra(PARTS), [&grads[0][0], &d_bias])?;
        }
        let Some(d_x) = pass.d_x[0] else { return Ok(()) };
        let weight = &site.set[site.params[0]].segments[0].weight;
        norm.record_differentiate(rec, x, d_y, weight, moments, d_x.to, d_x.adds)
    }
    fn needs(&self, _feeds_back: bool) -> Needs {
        Needs { x: true, y: false }
    }
    /// Each channel is measured against all others.
    fn reach(&self, inputs: &[&[bool]], _masks: &[Option<&[u32]>], channels: usize) -> Vec<bool> {
        vec![inputs[0].contains(&true); channels]
    }
}
