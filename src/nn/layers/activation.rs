//! Activations but for ReLU: functions of one number, each a layer of its own.

use super::super::layer::{Backward, Built, Context, Entry, Layer, Needs, Site};
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::ops::activation::{self, Activation};

/// The entry of an activation; none has settings.
macro_rules! entry {
    ($activation:expr, $about:literal) => {
        Entry {
            name: $activation.name,
            about: $about,
            required: Vec::new,
            optional: Vec::new,
            build: |context| build(context, &$activation),
        }
    };
}

pub const RELU6: Entry = entry!(activation::RELU6, "y = min(max(x, 0), 6)");
pub const HARD_SWISH: Entry =
    entry!(activation::HARD_SWISH, "y = x min(max(x + 3, 0), 6) / 6 (Howard et al. 2019)");
pub const SILU: Entry =
    entry!(activation::SILU, "y = x sigmoid(x), also known as swish (Elfwing, Uchibe & Doya 2017)");
pub const GELU: Entry =
    entry!(activation::GELU, "y = x P(x), with P the normal distribution (Hendrycks & Gimpel 2016)");
pub const GELU_TANH: Entry =
    entry!(activation::GELU_TANH, "GELU by its approximation with the hyperbolic tangent, as GPT-2 has it");
pub const SIGMOID: Entry = entry!(activation::SIGMOID, "y = 1 / (1 + exp(-x))");
pub const HARD_SIGMOID: Entry =
    entry!(activation::HARD_SIGMOID, "y = min(max(x + 3, 0), 6) / 6 (Howard et al. 2019)");
pub const TANH: Entry = entry!(activation::TANH, "the hyperbolic tangent");
pub const LEAKY_RELU: Entry =
    entry!(activation::LEAKY_RELU, "x above 0, else x / 100 (Maas, Hannun & Ng 2013)");
pub const ELU: Entry =
    entry!(activation::ELU, "x above 0, else exp(x) - 1 (Clevert, Unterthiner & Hochreiter 2015)");
pub const SELU: Entry =
    entry!(activation::SELU, "1.0507 x above 0, else 1.7581 (exp(x) - 1) (Klambauer et al. 2017)");

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
