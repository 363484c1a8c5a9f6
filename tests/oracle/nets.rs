//! The networks of the golden files, and the numbers that they begin with and read. `make_golden.py`, `make_graph.py`,
//! `make_conv.py`, `make_presets.py` and `make_text.py` are their twins.

use coppice::nn::{Extent, Graph};
use coppice::ops::text::Cut;
use coppice::param::Param;
use coppice::recipe;

const HIDDEN: [u32; 2] = [16, 8];
pub const CLASSES: usize = 5;
/// The number of the tokens of [`Net::Tied`], and what else there is to say of its embedding.
const TIED: usize = 800;
const TIED_WIDTH: usize = 8;
const PADDING: usize = 3;

/// As `make_golden.py`: (23 i^2 + 7919 i + 757 t) mod 1000 - 500, over `divisor`, rounded once.
fn value(t: usize, i: usize, divisor: f32) -> f32 {
    let number = (23 * i * i + 7919 * i + 757 * t) % 1000;
    (number as i32 - 500) as f32 / divisor
}

/// As `make_presets.py`: a number in [-0.5, 0.5) on a grid of 2^-24.
pub fn hashed(t: usize, i: usize) -> f32 {
    let mut x = (i as u32).wrapping_mul(0x9e37_79b1).wrapping_add((t as u32).wrapping_mul(0x85eb_ca6b));
    for (shift, factor) in [(16, 0x7feb_352d), (15, 0x846c_a68b)] {
        x = (x ^ (x >> shift)).wrapping_mul(factor);
    }
    x ^= x >> 16;
    (x >> 8) as f32 / (1 << 24) as f32 - 0.5
}

/// Whether a mask keeps weight `i` of its matrix.
pub fn keeps(i: usize) -> bool {
    31 * i % 10 < 4
}

/// Which network.
#[derive(Clone, Copy, PartialEq)]
pub enum Net {
    /// Of `make_golden.py`.
    Mlp,
    /// Of `make_graph.py`: two inputs, a shared weight, a residual connection, a concatenation and two outputs.
    Branches,
    /// Of `make_conv.py`: strides, borders, dilations, groups, one depthwise, one without bias.
    Convolutions,
    /// Of `make_presets.py` and `make_text.py`.
    Preset(Preset),
    /// Of `make_text.py`: an embedding with a row of padding, whose weight is that of the head, too.
    Tied,
    /// Convolutions with batch norm, a residual connection and poolings, all of them smooth: for differences alone.
    Smooth,
}

/// A preset on small samples.
#[derive(Clone, Copy, PartialEq)]
pub struct Preset {
    pub name: &'static str,
    pub samples: Samples,
    pub width: f64,
    /// Whether the head has the embedding's weight.
    pub tied: bool,
    /// LSTMs of each side of `seq2seq`.
    pub layers: u64,
    /// Of its samples; its parameters have the following ones.
    pub number: usize,
}

/// What a network reads.
#[derive(Clone, Copy, PartialEq)]
pub enum Samples {
    /// The same in each step.
    Image([usize; 3]),
    /// Others in each step.
    Tokens(Tokens),
}

/// As `make_text.py` has them.
#[derive(Clone, Copy, PartialEq, serde::Deserialize)]
pub struct Tokens {
    pub vocabulary: usize,
    pub reads: usize,
    pub skips: usize,
    pub padding: Option<u32>,
    pub every: usize,
    pub live: usize,
    pub streams: bool,
}

/// Steps of a run.
pub const STEPS: usize = 10;

impl Tokens {
    const TIED: Tokens =
        Tokens { vocabulary: 7, reads: 6, skips: 0, padding: None, every: 6, live: 8, streams: false };
    pub fn cut(&self) -> Cut {
        Cut { every: self.every, reads: self.reads, skips: self.skips, padding: self.padding }
    }
    pub fn stream(&self, number: usize) -> Vec<u32> {
        let len = (self.live * STEPS - 1) * self.every + self.reads + 1;
        let token = |i| ((f64::from(hashed(number, i)) + 0.5) * self.vocabulary as f64) as u32;
        (0..len).map(token).collect()
    }
    pub fn order(&self) -> Vec<u32> {
        let rows = self.live * STEPS;
        let row = |at: usize| match self.streams {
            true => at % self.live * STEPS + at / self.live,
            false => (7 * at + 3) % rows,
        };
        (0..rows).map(|at| row(at) as u32).collect()
    }
    /// Labels that count in each step.
    pub fn answers(&self, number: usize) -> Vec<u32> {
        let (stream, order) = (self.stream(number), self.order());
        let of_row = |row: &u32| {
            let labels = &stream[*row as usize * self.every + 1..][self.skips..self.reads];
            labels.iter().filter(|&&label| Some(label) != self.padding).count() as u32
        };
        order.chunks(self.live).map(|rows| rows.iter().map(of_row).sum()).collect()
    }
}

impl Net {
    /// The number of its first parameter.
    pub fn first(self) -> usize {
        match self {
            Net::Mlp => 1,
            Net::Branches => 173,
            Net::Convolutions => 401,
            Net::Preset(preset) => preset.number + 1,
            Net::Smooth => 601,
            Net::Tied => TIED + 1,
        }
    }
    /// Whether a masked run masks this parameter.
    pub fn masks(self, param: &Param) -> bool {
        let depthwise = param.window.is_some_and(|window| window.groups > 1);
        param.prunable && !(depthwise && matches!(self, Net::Preset(_)))
    }
    pub fn tokens(self) -> Option<Tokens> {
        match self {
            Net::Preset(Preset { samples: Samples::Tokens(tokens), .. }) => Some(tokens),
            Net::Tied => Some(Tokens::TIED),
            _ => None,
        }
    }
    pub fn classes(self) -> usize {
        self.tokens().map_or(CLASSES, |tokens| tokens.vocabulary)
    }
    /// Those of a step.
    pub fn samples(self) -> usize {
        match self {
            Net::Preset(Preset { samples: Samples::Image(_), .. }) => 8,
            _ => self.tokens().map_or(16, |tokens| tokens.live),
        }
    }
    /// Whether a weight's gradient is not its derivative: an embedding learns nothing of padding.
    pub fn overlooks(self, param: &str, i: usize) -> bool {
        self == Net::Tied && param == "embed.weight" && i / TIED_WIDTH == PADDING
    }
    /// Value `i` of the samples.
    pub fn sample(self, i: usize) -> f32 {
        match self {
            Net::Preset(preset) => hashed(preset.number, i) * 2.0,
            _ => value(0, i, 500.0),
        }
    }
    /// Value `i` of parameter `t` at the start.
    pub fn start(self, t: usize, param: &Param, i: usize) -> f32 {
        let (Net::Preset(_) | Net::Tied) = self else {
            let is_scale = param.name.starts_with("bn") && param.name.ends_with(".weight");
            return f32::from(u8::from(is_scale)) + value(t, i, if param.prunable { 1000.0 } else { 5000.0 });
        };
        if param.is_matrix() && param.name.ends_with(".weight") {
            let inputs = param.len() / param.shape[0];
            return hashed(t, i) * 4.0 / (1 << (inputs.ilog2() / 2)) as f32;
        }
        match param.name.rsplit_once('.').expect("a layer's parameter").1 {
            "running_mean" => 0.0,
            "running_var" => 1.0,
            "weight" => hashed(t, i) * 0.5 + 1.0,
            _ if param.name.contains("bn") => hashed(t, i) * 0.5 + 0.75,
            _ => hashed(t, i) * 0.5,
        }
    }
    /// What a sample is.
    pub fn input(self) -> Extent {
        match self {
            Net::Mlp | Net::Branches => Extent::features(12),
            Net::Convolutions => Extent::of_samples(&[2, 5, 4]),
            Net::Preset(Preset { samples: Samples::Image(image), .. }) => Extent::of_samples(&image),
            Net::Preset(Preset { samples: Samples::Tokens(tokens), .. }) => {
                Extent::tokens(tokens.vocabulary, tokens.reads)
            }
            Net::Tied => Extent::tokens(Tokens::TIED.vocabulary, Tokens::TIED.reads),
            Net::Smooth => Extent::of_samples(&[2, 6, 6]),
        }
    }
    /// The golden file, but for the networks of several.
    pub fn file(self) -> serde_json::Value {
        let text = match self {
            Net::Mlp => include_str!("gradients.json"),
            Net::Branches => include_str!("graph.json"),
            Net::Convolutions => include_str!("conv.json"),
            Net::Tied => include_str!("tied.json"),
            Net::Preset(_) | Net::Smooth => panic!("it has none of its own"),
        };
        serde_json::from_str(text).expect("JSON")
    }
    pub fn recipe(self) -> recipe::Model {
        match self {
            Net::Mlp => recipe::Model::Mlp { hidden: HIDDEN.to_vec(), activation: "relu".into() },
            Net::Branches => Self::branches(),
            Net::Convolutions => Self::convolutions(),
            Net::Preset(preset) => {
                let settings = match preset.name {
                    "gpt" => {
                        format!("layers = 2\nwidth = 16\nheads = 2\nhidden = 24\ntied = {}", preset.tied)
                    }
                    "vit" => "layers = 2\nwidth = 8\nheads = 2\nhidden = 16".into(),
                    "lstm-lm" => "layers = 2\nwidth = 12\nunits = 8".into(),
                    "seq2seq" => {
                        format!("layers = {}\nwidth = 12\nunits = 8\nheads = 2\nsource = 5", preset.layers)
                    }
                    "transformer" => "layers = 2\nwidth = 16\nheads = 2\nhidden = 24\nsource = 5".into(),
                    _ => format!("width = {}", preset.width),
                };
                let settings: toml::Table = settings.parse().expect("settings");
                recipe::Model::Preset { name: preset.name.into(), settings: settings.into() }
            }
            Net::Tied => Self::tied(),
            Net::Smooth => Self::smooth(),
        }
    }
    fn tied() -> recipe::Model {
        let mut net = Graph::new();
        let layer = |net: &mut Graph, kind: &str, name: &str, x, settings: String| {
            net.layer(kind, name, &[x], settings.parse::<toml::Table>().expect("settings").into())
        };
        let x = net.data();
        let x = layer(&mut net, "embedding", "embed", x, format!("out = {TIED_WIDTH}\npadding = {PADDING}"));
        let x = net.linear("mid", x, TIED_WIDTH);
        let x = net.activation("tanh", "act", x);
        layer(&mut net, "linear", "head", x, format!("out = {}\nshare = 'embed'", Tokens::TIED.vocabulary));
        net.into()
    }
    fn smooth() -> recipe::Model {
        let mut net = Graph::new();
        let layer = |net: &mut Graph, kind: &str, name: &str, x, settings: &str| {
            net.layer(kind, name, &[x], settings.parse::<toml::Table>().expect("settings").into())
        };
        let x = net.data();
        let x =
            layer(&mut net, "conv2d", "c1", x, "out = 6\nkernel = 3\npadding = 1\nstride = 2\nbias = false");
        let x = layer(&mut net, "batch_norm", "bn1", x, "");
        let a = layer(&mut net, "silu", "a", x, "");
        let x = layer(&mut net, "conv2d", "dw", a, "out = 6\nkernel = 3\npadding = 1\ngroups = 6");
        let x = layer(&mut net, "batch_norm", "bn2", x, "");
        let x = net.add("sum", &[x, a]);
        let x = layer(&mut net, "tanh", "b", x, "");
        let x = layer(&mut net, "conv2d", "pw", x, "out = 8\nkernel = 1\nbias = false");
        let x = layer(&mut net, "batch_norm", "bn3", x, "");
        let x = layer(&mut net, "silu", "d", x, "");
        let x = layer(&mut net, "average_pool", "halve", x, "kernel = 2\nstride = 1");
        let x = layer(&mut net, "resize", "resize", x, "height = 3\nwidth = 5");
        let x = layer(&mut net, "silu", "e", x, "");
        let x = layer(&mut net, "global_average_pool", "mean", x, "");
        net.linear("out", x, CLASSES);
        net.into()
    }
    fn convolutions() -> recipe::Model {
        let mut net = Graph::new();
        let conv = |net: &mut Graph, name: &str, x, settings: &str| {
            let settings: toml::Table = settings.parse().expect("settings");
            net.layer("conv2d", name, &[x], settings.into())
        };
        let silu = |net: &mut Graph, name: &str, x| net.layer("silu", name, &[x], Default::default());
        let x = net.data();
        let x = conv(&mut net, "c1", x, "out = 8\nkernel = 3\npadding = 1");
        let x = silu(&mut net, "a", x);
        let x = conv(&mut net, "dw", x, "out = 8\nkernel = 3\nstride = 2\npadding = 1\ngroups = 8");
        let x = silu(&mut net, "b", x);
        let x = conv(&mut net, "pw", x, "out = 12\nkernel = 1\nbias = false");
        let x = conv(&mut net, "c2", x, "out = 8\nkernel = 2\npadding = 1\ngroups = 2");
        let x = silu(&mut net, "d", x);
        let x = conv(&mut net, "c3", x, "out = 8\nkernel = 3\npadding = 2\ndilation = 2\ngroups = 4");
        let x = silu(&mut net, "e", x);
        net.linear("out", x, CLASSES);
        net.into()
    }
    fn branches() -> recipe::Model {
        let mut net = Graph::new();
        let x = net.data();
        let (left, right) = (net.slice("left", x, 0..8), net.slice("right", x, 8..12));
        let a = net.linear("left_in", left, 8);
        let a = net.relu("a", a);
        let b = net.linear("right_in", right, 6);
        let tied = net.linear("tied", a, 8);
        let t = net.relu("t", tied);
        let u = net.linear_shared("u", t, tied);
        let sum = net.add("sum", &[u, a]);
        let r = net.relu("r", sum);
        let c = net.concat("c", &[r, b]);
        let (head, side) = (net.linear("out", c, CLASSES), net.linear("aux", t, CLASSES));
        net.output(head, 1.0);
        net.output(side, 0.3);
        net.into()
    }
}
