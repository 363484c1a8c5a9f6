//! What a layer is, and the list of all kinds.

use std::ops::Range;

use toml::Value;

use super::{Operand, linear, relu};
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Recorder, Tensor};
use crate::ops::variants::{Choices, Shape};
use crate::param::Param;
use crate::recipe::{self, Settings};

/// A kind of layer in the list.
pub struct Entry {
    pub name: &'static str,
    pub about: &'static str,
    /// Settings that must be written, with a sample of their type.
    pub required: fn() -> Vec<(&'static str, Value)>,
    pub build: fn(&Context, &Settings) -> Result<Box<dyn Layer>>,
}

/// All kinds of layers.
pub const ALL: &[Entry] = &[linear::ENTRY, relu::ENTRY];

/// What a layer is built from.
pub struct Context<'a> {
    pub name: &'a str,
    /// Features of its input.
    pub inputs: usize,
    pub seed: u64,
    /// The number of its first parameter: initial weights are a function of (seed, number, element).
    pub first_param: u32,
}

/// Operands that a layer's products read as bf16, all of them or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Its input.
    pub x: bool,
    /// Its output's gradient.
    pub d_y: bool,
}

/// A differentiable function of activations (features, cols).
pub trait Layer {
    fn name(&self) -> &str;
    /// Features of its output.
    fn outputs(&self) -> usize;
    fn params(&self) -> Vec<&Param> {
        Vec::new()
    }
    fn params_mut(&mut self) -> Vec<&mut Param> {
        Vec::new()
    }
    /// Its dense products, for measuring variants.
    fn products(&self, _cols: usize) -> Vec<Shape> {
        Vec::new()
    }
    /// Records `y = f(x)`. Operands have copies where it reads those (see [`Layer::reads_narrow`]), results where that is all
    /// that is to be written.
    fn forward(&self, rec: &mut Recorder, choices: &Choices, x: Operand, y: Operand) -> Result<()>;
    /// Records the gradients of the parameters and, if asked for, of the input.
    fn backward(
        &self,
        rec: &mut Recorder,
        choices: &Choices,
        x: Operand,
        y: &Tensor,
        d_y: Operand,
        d_x: Option<Operand>,
    ) -> Result<()>;
    /// What its products read as bf16, in runs that have copies. `is_written` says that the layer before can write its input
    /// so, at no cost.
    fn reads_narrow(&self, _gpu: &Gpu, _cols: usize, _is_written: bool) -> Reads {
        Reads::default()
    }
    /// Whether it can write its output as bf16 alone, and never reads it again.
    fn writes_narrow(&self) -> bool {
        false
    }
    /// Whether it can write its input's gradient as bf16 alone.
    fn passes_narrow(&self) -> bool {
        false
    }
    /// Records the gradient of its weight, also where nothing is kept, for some of its rows: what growth goes by. No other
    /// gradient changes.
    ///
    /// # Errors
    /// `Kind::Usage` for a layer without a weight that could grow.
    fn dense_grad(
        &self,
        _rec: &mut Recorder,
        _choices: &Choices,
        _x: &Tensor,
        _d_y: &Tensor,
        _rows: Range<usize>,
        _d_weight: &Tensor,
    ) -> Result<()> {
        Err(Error::usage(format!("layer `{}` has no weight that could grow", self.name())))
    }

    fn is_relu(&self) -> bool {
        false
    }
    /// Rectifies its own output from now on, if it can. Its `d_y` then comes already masked.
    fn rectify_output(&mut self) -> bool {
        false
    }
    /// Whether it can mask its `d_x` by the sign of its input.
    fn takes_rectified_input(&self) -> bool {
        false
    }
    fn set_rectified_input(&mut self) {}
}

/// The entry of a layer's kind.
///
/// # Errors
/// `Kind::Usage` with the nearest known kind.
pub fn find(spec: &recipe::Layer) -> Result<&'static Entry> {
    let found = ALL.iter().find(|entry| entry.name == spec.kind);
    found.ok_or_else(|| spec.unknown_kind(ALL.iter().map(|entry| entry.name)))
}

/// The layer's settings, checked.
pub fn settings(spec: &recipe::Layer) -> Result<Settings> {
    let entry = find(spec)?;
    spec.settings.resolve_with(&format!("layer `{}`", entry.name), &(entry.required)(), &[])
}
