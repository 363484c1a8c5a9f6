//! What a layer is, and the list of all kinds.

use std::ops::Range;

use toml::Value;

use super::coupling::Passing;
use super::extent::Extent;
use super::layers::{
    activation, add, attention, batch_norm, concat, conv2d, dropout, embedding, flatten, layer_norm, lengths,
    linear, multiply, pad_channels, patches, pool, positions, recurrent, relu, resize, scale, slice, steps,
};
use crate::error::{Error, Result};
use crate::gpu::{Dtype, Gpu, Recorder, Tensor, Uniform};
use crate::ops::variants::{Choices, Shape};
use crate::param::{ParamId, ParamSet};
use crate::recipe::{self, Settings};

/// A kind of layer in the list.
pub struct Entry {
    pub name: &'static str,
    pub about: &'static str,
    /// Settings that must be written, with a sample of their type.
    pub required: fn() -> Vec<(&'static str, Value)>,
    /// Settings that may be, with their defaults.
    pub optional: fn() -> Vec<(&'static str, Value)>,
    pub build: fn(&mut Context) -> Result<Built>,
}

/// All kinds of layers.
pub const ALL: &[Entry] = &[
    linear::ENTRY,
    conv2d::ENTRY,
    relu::ENTRY,
    activation::RELU6,
    activation::HARD_SWISH,
    activation::SILU,
    activation::GELU,
    activation::GELU_TANH,
    activation::SIGMOID,
    activation::HARD_SIGMOID,
    activation::TANH,
    activation::LEAKY_RELU,
    activation::ELU,
    activation::SELU,
    add::ENTRY,
    concat::ENTRY,
    slice::ENTRY,
    pad_channels::ENTRY,
    scale::ENTRY,
    multiply::ENTRY,
    flatten::ENTRY,
    dropout::ENTRY,
    embedding::ENTRY,
    batch_norm::ENTRY,
    layer_norm::LAYER,
    layer_norm::RMS,
    pool::LARGEST,
    pool::MEAN,
    pool::GLOBAL_MEAN,
    resize::ENTRY,
    recurrent::LSTM,
    recurrent::GRU,
    patches::ENTRY,
    positions::POSITIONS,
    positions::ROTARY,
    steps::CLASS_TOKEN,
    steps::STEP,
    steps::STEPS,
    lengths::ENTRY,
    attention::ENTRY,
];

/// What a layer is built from.
pub struct Context<'a> {
    pub name: &'a str,
    pub settings: &'a Settings,
    /// Extents of what it reads, by name: at least one.
    pub inputs: &'a [(String, Extent)],
    pub seed: u64,
    /// Whether the network is built to be passed through one step of a sequence at a time, and then how many steps the whole
    /// sequence has at most: parameters have their shapes for that, values have one step.
    pub stepwise: Option<usize>,
    /// Takes in its parameters: initial weights are a function of (seed, number of the parameter, element).
    pub params: &'a mut ParamSet,
    /// The parameters of a layer before it, by that layer's name.
    pub params_of: &'a dyn Fn(&str) -> Result<Vec<ParamId>>,
}

impl Context<'_> {
    /// The only input.
    ///
    /// # Errors
    /// `Kind::Usage` where there are several.
    pub fn input(&self) -> Result<&Extent> {
        match self.inputs {
            [(_, extent)] => Ok(extent),
            several => {
                let names = several.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
                let what = format!("layer `{}` reads one value, and was given {}", self.name, several.len());
                let advice = "an `add` or a `concat` layer before it makes one of several";
                Err(self.at(Error::usage(what).at(format!("from: {names}"))).hint(advice))
            }
        }
    }
    /// Takes lengths off the end of its inputs, where they are there: how long a sample is at most.
    pub fn take_lengths(&mut self) -> Option<usize> {
        let [others @ .., (_, last)] = self.inputs else { return None };
        let most = last.longest().filter(|_| !others.is_empty())?;
        self.inputs = others;
        Some(most)
    }
    /// Says where it is written what the layer reads.
    pub fn at(&self, error: Error) -> Error {
        self.settings.locate("from", error)
    }
}

/// A layer with what the graph has to know of it.
pub struct Built {
    pub layer: Box<dyn Layer>,
    pub output: Extent,
    /// Those that it reads; other layers may read them, too.
    pub params: Vec<ParamId>,
}

/// Operands that a layer's products read as bf16, all of them or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Its input.
    pub x: bool,
    /// Its output's gradient.
    pub d_y: bool,
}

/// Activations that a backward pass reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    pub x: bool,
    pub y: bool,
}

/// Where a layer stands when something of it is recorded or asked.
#[derive(Clone, Copy)]
pub struct Site<'a> {
    pub gpu: &'a Gpu,
    pub choices: &'a Choices,
    pub set: &'a ParamSet,
    /// The layer's own.
    pub params: &'a [ParamId],
    /// Samples of a batch, with those that are missing.
    pub batch: usize,
    /// Columns of its output: sites by samples.
    pub cols: usize,
    /// What a pass adds to that; nothing where none is recorded.
    pub during: Option<During<'a>>,
}

/// What a layer is handed in a pass, besides the values that it reads and writes.
#[derive(Clone, Copy)]
pub struct During<'a> {
    /// Numbers of the step, such as how many samples the batch has.
    pub step: &'a Uniform,
    /// Whether the pass trains; evaluations do not.
    pub trains: bool,
    /// The layer's number, for streams of random numbers.
    pub number: usize,
    /// What it asked for by [`Layer::extras`], in that order; `None` where an extra is not there in this call.
    pub extras: &'a [Option<&'a Tensor>],
    /// What it carries from one batch to the next, as it asked for by [`Layer::carried`].
    pub carried: &'a [Tensor],
}

impl<'a> Site<'a> {
    /// # Panics
    /// Where nothing is recorded: a fault of the caller.
    pub fn during(&self) -> During<'a> {
        self.during.expect("a layer records in passes alone")
    }
    /// # Panics
    /// Where it is not there in this call: a fault of the layer.
    pub fn extra(&self, number: usize) -> &'a Tensor {
        self.during().extras[number].expect("an extra is there in the calls that it was asked for")
    }
}

/// A tensor that a layer needs besides its input and its output.
#[derive(Clone, Debug, PartialEq)]
pub struct Extra {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub held: Held,
}

/// When an extra is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// In the forward call alone.
    Forward,
    /// In the backward call alone.
    Backward,
    /// From the forward call to the backward call; in a pass without one, in the forward call.
    Between,
}

/// What the dense gradient of a layer's weight is a product of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// Its first input.
    Input,
    /// Its output's gradient.
    OutputGrad,
    /// An extra, as the backward call leaves it, by its number.
    Extra(usize),
}

/// Where a gradient goes.
#[derive(Clone, Copy)]
pub struct Sink<'a> {
    pub to: &'a Tensor,
    /// It is added to what is there.
    pub adds: bool,
}

/// The tensors of a backward pass.
pub struct Backward<'a> {
    /// Empty where they are not needed; lengths alone where it rereads those alone.
    pub x: &'a [&'a Tensor],
    /// `None` where it is not needed.
    pub y: Option<&'a Tensor>,
    /// It may be the gradient of an input, too, and is only read.
    pub d_y: &'a Tensor,
    /// By input; `None` where nobody asks for it.
    pub d_x: &'a [Option<Sink<'a>>],
    /// By parameter, by segment: where their gradients go; `None` where they are not trained.
    pub grads: Option<&'a [Vec<Tensor>]>,
}

/// How far a layer's gradients, where they are not added to others, are equal number by number: then they may be one tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EqualGrads {
    No,
    /// Those of its inputs.
    Inputs,
    /// Those of its inputs and of its output.
    All,
}

/// A differentiable function of values (channels, cols), f32 or, where it says that it can, bf16.
pub trait Layer {
    /// Its dense products, for measuring variants.
    fn products(&self, _set: &ParamSet, _params: &[ParamId], _batch: usize) -> Vec<Shape> {
        Vec::new()
    }
    /// Tensors that it needs besides its input and its output: the schedule finds room for them.
    fn extras(&self, _site: Site) -> Vec<Extra> {
        Vec::new()
    }
    /// Shapes of f32 tensors that live as long as a run, and as an evaluation: it reads what the batch before has left there,
    /// unless its batch is the first of an epoch, and leaves what is for the next. They begin as 0.
    fn carried(&self, _batch: usize) -> Vec<Vec<usize>> {
        Vec::new()
    }
    /// Records `y = f(x)`.
    fn forward(&self, rec: &mut Recorder, site: Site, x: &[&Tensor], y: &Tensor) -> Result<()>;
    /// Records the gradients that are asked for.
    fn backward(&self, rec: &mut Recorder, site: Site, pass: &Backward) -> Result<()>;
    /// What its backward pass reads: `feeds_back` says whether the gradient of an input is asked for.
    fn needs(&self, feeds_back: bool) -> Needs;
    /// Whether it can add to the gradient of an input, in f32, where another layer has written one.
    fn adds(&self, _site: Site) -> bool {
        true
    }

    /// Which of its gradients are equal. Its backward pass is not asked for those that are one tensor with another.
    fn equal_grads(&self) -> EqualGrads {
        EqualGrads::No
    }

    /// What its products read as bf16, in runs that have it. `is_written` says that the layer before can write its input
    /// so, at no cost.
    fn reads_narrow(&self, _site: Site, _is_written: bool) -> Reads {
        Reads::default()
    }
    /// Whether it can write its output as bf16, and never reads it again.
    fn writes_narrow(&self, _site: Site) -> bool {
        false
    }
    /// Whether it can write its input's gradient as bf16, where it reads its input as `reads` says.
    fn passes_narrow(&self, _site: Site, _reads: Reads) -> bool {
        false
    }
    /// The operands of the dense gradient of its weights: x and d_y.
    fn operands(&self) -> [Operand; 2] {
        [Operand::Input, Operand::OutputGrad]
    }
    /// Whether gradients flow back through its weight wherever that trains, asked for by an input or not.
    fn is_recurrent(&self) -> bool {
        false
    }
    /// Records the gradient of a weight of its, by its place among the parameters, also where nothing is kept, for some of its
    /// rows: what growth goes by. No other gradient changes.
    ///
    /// # Errors
    /// `Kind::Usage` for a layer without a weight that could grow.
    fn dense_grad(
        &self,
        _rec: &mut Recorder,
        _site: Site,
        _pass: [&Tensor; 2],
        _of: (usize, Range<usize>),
        _d_weight: &Tensor,
    ) -> Result<()> {
        Err(Error::usage("a layer without a weight was asked to grow it"))
    }

    /// Which channels of its output depend on one of its inputs that depends on the batch, where `masks` says by parameter
    /// which weights are kept: as a layer does that works channel by channel.
    fn reach(&self, inputs: &[&[bool]], _masks: &[Option<&[u32]>], channels: usize) -> Vec<bool> {
        (0..channels).map(|channel| inputs.iter().any(|input| input[channel])).collect()
    }

    /// How channels pass through it, for pruning them: by default a layer mixes all, unless it works number by number.
    fn passing(&self) -> Passing {
        if self.is_elementwise() { Passing::Alone } else { Passing::Mixed }
    }
    /// The settings that change where only these channels of its inputs and its output are left.
    fn narrowed(&self, _inputs: &[Vec<bool>], _output: &[bool]) -> Vec<(&'static str, usize)> {
        Vec::new()
    }

    /// Whether a step of its output depends on later steps of its input: then it cannot be passed through step by step.
    fn looks_ahead(&self) -> bool {
        false
    }
    /// How many steps it can be passed through, one at a time; `None` where there is no end.
    fn steps_at_most(&self) -> Option<usize> {
        None
    }
    /// Whether its backward pass reads lengths, its last input, where it reads no other one: see [`Extent::lengths`].
    fn rereads_lengths(&self) -> bool {
        false
    }
    /// Whether it reads tokens; all others read numbers.
    fn reads_tokens(&self) -> bool {
        false
    }
    /// Whether it computes the number in the same place of its output from each number of its input.
    fn is_elementwise(&self) -> bool {
        false
    }
    fn is_relu(&self) -> bool {
        false
    }
    /// Whether its output is its input in memory, too, as plain features.
    fn is_flatten(&self) -> bool {
        false
    }
    /// Reads an image from now on in place of its features, if it can.
    fn read_image(&mut self, _image: &Extent) -> bool {
        false
    }
    /// Takes over the ReLU behind it, if it can: how its output's gradient is rectified from then on.
    fn rectify_output(&mut self) -> Option<Rectifies> {
        None
    }
    /// Whether it can rectify its input's gradient by the sign of its input.
    fn can_rectify_input_grad(&self) -> bool {
        false
    }
    /// Does so from now on.
    fn rectify_input_grad(&mut self) {}
}

/// Where the gradient of a rectified output becomes 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rectifies {
    /// In the layer's own backward pass.
    Itself,
    /// Before it: in those who write the gradient, or else in a pass over it.
    Before,
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
    spec.settings.resolve_with(&format!("layer `{}`", entry.name), &(entry.required)(), &(entry.optional)())
}
