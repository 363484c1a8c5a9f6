//! What weights and biases begin with, as the setting `init` of a layer says it.

use toml::Value;

use super::layer::Context;
use crate::error::Result;
use crate::param::Param;
use crate::random::{self, Stream};
use crate::recipe::Settings;

/// A distribution of first values. But for the default one, biases begin with 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Weights and biases uniform in ±1/sqrt(inputs): PyTorch's default for linear layers and convolutions.
    Uniform,
    /// Weights and biases uniform in this range around 0.
    Within(f32),
    /// Uniform in ±sqrt(6 / (inputs + outputs)) (Glorot & Bengio 2010, equation 16).
    Xavier,
    /// Normal with variance 2 / inputs (He et al. 2015, equation 10).
    Kaiming,
    /// Normal with variance 2 / outputs (equation 14 there): what torchvision gives convolutions with a batch norm.
    KaimingOut,
    /// Normal with this standard deviation.
    Normal(f32),
}

/// What an output of the layer adds up, and what an input goes into.
#[derive(Clone, Copy)]
pub struct Fans {
    pub inputs: usize,
    pub outputs: usize,
}

impl Init {
    /// The setting with its default.
    pub fn setting(default: &str) -> (&'static str, Value) {
        ("init", Value::String(default.into()))
    }
    /// What a layer's settings say.
    pub fn read(settings: &Settings) -> Result<Self> {
        let expected = "\"uniform\", \"uniform:\" and a bound, \"xavier\", \"kaiming\", \"kaiming-out\", or \"normal:\" and a deviation";
        let text = settings.text("init")?;
        let number = |word: &str| -> Option<f32> {
            text.strip_prefix(word)?.parse().ok().filter(|number: &f32| *number >= 0.0 && number.is_finite())
        };
        let numbered = || number("normal:").map(Init::Normal).or(number("uniform:").map(Init::Within));
        match text {
            "uniform" => Ok(Init::Uniform),
            "xavier" => Ok(Init::Xavier),
            "kaiming" => Ok(Init::Kaiming),
            "kaiming-out" => Ok(Init::KaimingOut),
            _ => numbered().ok_or_else(|| settings.wrong("init", expected)),
        }
    }

    /// The layer's next parameter, not declared yet; a shape of one number is a bias. Its values are a function of (seed,
    /// number of the parameter, element).
    pub fn param(self, context: &Context, what: &str, shape: &[usize], fans: Fans) -> Param {
        let (seed, number) = (context.seed, context.params.len() as u32);
        let name = format!("{}.{what}", context.name);
        let inputs = fans.inputs as f32;
        let bound = match self {
            Init::Uniform => Some(1.0 / inputs.sqrt()),
            Init::Within(bound) => Some(bound),
            _ if shape.len() == 1 => Some(0.0),
            Init::Xavier => Some((6.0 / (inputs + fans.outputs as f32)).sqrt()),
            Init::Kaiming | Init::KaimingOut | Init::Normal(_) => None,
        };
        let deviation = match self {
            Init::Normal(deviation) => deviation,
            Init::KaimingOut => (2.0 / fans.outputs as f32).sqrt(),
            _ => (2.0 / inputs).sqrt(),
        };
        let value = move |i: u32| match bound {
            Some(0.0) => 0.0,
            Some(bound) => (random::uniform(seed, Stream::Init, 0, number, i) * 2.0 - 1.0) * bound,
            None => random::normal(seed, Stream::Init, 0, number, i) * deviation,
        };
        let mut param = Param::new(&name, shape, Box::new(value));
        param.bound = bound;
        let (all, outputs) = (inputs, fans.outputs as f32);
        param.by_inputs = match self {
            Init::Uniform | Init::Kaiming => Box::new(move |kept: usize| (all / kept as f32).sqrt()),
            Init::Xavier => Box::new(move |kept: usize| ((all + outputs) / (kept as f32 + outputs)).sqrt()),
            Init::KaimingOut | Init::Within(_) | Init::Normal(_) => Box::new(|_| 1.0),
        };
        param
    }
}
