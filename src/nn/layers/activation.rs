//! Activations but for ReLU: functions of one number, each a layer of its own.

use super::super::layer::{Backward, Built, Context, Entry, Layer, Needs, Site};
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::ops::activation::{self, Activation};

pub const RELU6: Entry = Entry {
    name: "relu6",
    about: "y = min(max(x, 0), 6)",
    required: Vec::new,
    optional: Vec::new,
    build: |context| build(context, &activation::RELU6),
};
pub const HARD_SWISH: Entry = Entry {
    name: "hard_swish",
    about: "y = x min(max(x + 3, 0), 6) / 6 (Howard et al. 2019)",
    required: Vec::new,
    optional: Vec::new,
    build: |context| build(context, &activation::HARD_SWISH),
};
pub const SILU: Entry = Entry {
    name: "silu",
    about: "y = x sigmoid(x), also known as swish (Elfwing, Uchibe & Doya 2017)",
    required: Vec::new,
    optional: Vec::new,
    build: |context| build(context, &activation::SILU),
};
pub const GELU: Entry = Entry {
    name: "gelu",
    about: "y = x P(x), with P the normal distribution (Hendrycks & Gimpel 2016)",
    required: Vec::new,
    optional: Vec::new,
    build: |context| build(context, &activation::GELU),
};

fn build(context: &mut Context, activation: &'static Activation) -> Result<Built> {
    Ok(Built { layer: Box::new(Alone(activation)), output: context.input()?.clone(), params: Vec::new() })
}

/// An activation that nothing fuses.
struct Alone(&'static Activation);

impl Layer for Alone {
    fn forward(&self, rec: &mut Recorder, _: Site, x: &[&Tensor], y: &Tensor) -> Result<()> {
        self.0.record_forward(rec, x[0], y)
    }
    fn backward(&self, rec: &mut Recorder, _: Site, pass: &Backward) -> Result<()> {
        let (Some(d_x), Some(&x)) = (pass.d_x[0], pass.x.first()) else { return Ok(()) };
        self.0.record_backward(rec, x, pass.d_y, d_x.to, d_x.adds)
    }
    fn needs(&self, feeds_back: bool) -> Needs {
        Needs { x: feeds_back, y: false }
    }
    fn is_elementwise(&self) -> bool {
        true
    }
}
