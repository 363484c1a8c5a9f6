//! Networks described by calls: what `[[model.layer]]` says in a recipe, from Rust.
//!
//! ```
//! use coppice::nn::Graph;
//!
//! let mut net = Graph::new();
//! let x = net.data();
//! let h = net.linear("fc1", x, 64);
//! let h = net.relu("act1", h);
//! let deeper = net.linear("fc2", h, 64);
//! let sum = net.add("sum", &[deeper, h]);
//! let sum = net.relu("act2", sum);
//! let logits = net.linear("head", sum, 10);
//! net.output(logits, 1.0);
//! let model: coppice::recipe::Model = net.into();
//! ```
//!
//! A network of images, with a residual block:
//!
//! ```
//! use coppice::nn::{Extent, Graph, Model};
//!
//! let mut net = Graph::new();
//! let x = net.data();
//! let x = net.conv2d("stem", x, 16, 3, 1, 1, false);
//! let x = net.batch_norm("stem_norm", x);
//! let x = net.relu("stem_act", x);
//! let x = net.max_pool("pool", x, 2, 2, 0);
//! let y = net.conv2d("conv", x, 16, 3, 1, 1, false);
//! let y = net.batch_norm("norm", y);
//! let y = net.squeeze_excite("attend", y, 4);
//! let x = net.add("sum", &[x, y]);
//! let x = net.relu("act", x);
//! let x = net.global_average_pool("mean", x);
//! let x = net.dropout("drop", x, 0.2);
//! let logits = net.linear("head", x, 10);
//! net.output(logits, 1.0);
//! let image = Extent::new(1, vec![28, 28]);
//! let model = Model::new(&net.into(), image, 10, 0)?;
//! assert_eq!(model.params.len(), 16);
//! # Ok::<(), coppice::error::Error>(())
//! ```

use toml::{Table, Value as Toml};

use crate::recipe::{self, Network, Settings};

/// The name of the values that a batch brings: the features of its samples, varied where the recipe says so.
pub const DATA: &str = "data";
/// The same as they are, whatever varies the others.
pub const PLAIN: &str = "data.plain";

/// A network in the making: plain data, which a recipe stores. Mistakes are found when a model is built from it.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    network: Network,
}

/// A value of a [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value(Source);

/// Where a value is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Data,
    Plain,
    Layer(usize),
}

impl Graph {
    pub fn new() -> Self {
        Self::default()
    }
    /// The features of a batch's samples, as `[augment]` varies them.
    pub fn data(&self) -> Value {
        Value(Source::Data)
    }
    /// The features of the same samples as they are.
    pub fn plain_data(&self) -> Value {
        Value(Source::Plain)
    }

    /// A layer of any kind: see [`super::layer::ALL`].
    pub fn layer(&mut self, kind: &str, name: &str, from: &[Value], settings: Settings) -> Value {
        let from = from.iter().map(|value| self.name_of(*value).to_string()).collect();
        let (kind, name) = (kind.to_string(), Some(name.to_string()));
        self.network.layers.push(recipe::Layer { kind, name, from, settings });
        Value(Source::Layer(self.network.layers.len() - 1))
    }
    /// `weight x + bias`, with `out` outputs.
    pub fn linear(&mut self, name: &str, x: Value, out: usize) -> Value {
        self.layer("linear", name, &[x], settings([("out", Toml::Integer(out as i64))]))
    }
    /// Of each token a row of `out` numbers, which begin as a named distribution says, such as `"normal:0.02"`.
    pub fn embedding(&mut self, name: &str, tokens: Value, out: usize, init: &str) -> Value {
        let all = [("out", Toml::Integer(out as i64)), ("init", Toml::String(init.into()))];
        self.layer("embedding", name, &[tokens], settings(all))
    }
    /// As [`Graph::linear`], by a named distribution of first values, such as `"xavier"` or `"normal:0.02"`, and with a bias
    /// or without.
    pub fn linear_from(&mut self, name: &str, x: Value, out: usize, init: &str, bias: bool) -> Value {
        let [init, bias] = [Toml::String(init.into()), Toml::Boolean(bias)];
        self.layer(
            "linear",
            name,
            &[x],
            settings([("out", Toml::Integer(out as i64)), ("init", init), ("bias", bias)]),
        )
    }
    /// As [`Graph::linear`], with the weight and the bias of another linear layer.
    pub fn linear_shared(&mut self, name: &str, x: Value, of: Value) -> Value {
        let other = self.name_of(of).to_string();
        let spec = self.network.layers.iter().find(|layer| layer.name.as_ref() == Some(&other));
        let out = spec.and_then(|spec| spec.settings.values().get("out").cloned());
        let out = out.unwrap_or(Toml::Integer(0)); // refused, with the layer's name, when the model is built
        self.layer("linear", name, &[x], settings([("out", out), ("share", Toml::String(other))]))
    }
    /// An LSTM of so many units over a sequence: what each step's input adds to its gates is a linear layer called `name_in`.
    pub fn lstm(&mut self, name: &str, x: Value, units: usize) -> Value {
        self.recurrent("lstm", name, x, units, false, false)
    }
    /// A GRU, likewise.
    pub fn gru(&mut self, name: &str, x: Value, units: usize) -> Value {
        self.recurrent("gru", name, x, units, false, false)
    }
    /// An `lstm` or a `gru`, from the last step to the first if `reverse`, and going on where the batch before ended if `carry`.
    pub fn recurrent(
        &mut self,
        kind: &str,
        name: &str,
        x: Value,
        units: usize,
        reverse: bool,
        carry: bool,
    ) -> Value {
        let [reverse, carry] = [reverse, carry].map(Toml::Boolean);
        self.recurrent_with(kind, name, x, units, &[], settings([("reverse", reverse), ("carry", carry)]))
    }
    /// An `lstm` or a `gru` with further inputs, what it begins with and lengths, and with any settings.
    pub fn recurrent_with(
        &mut self,
        kind: &str,
        name: &str,
        x: Value,
        units: usize,
        others: &[Value],
        settings: Settings,
    ) -> Value {
        let gates = if kind == "lstm" { 4 } else { 3 };
        // PyTorch draws all weights of such a layer alike.
        let init = format!("uniform:{}", 1.0 / (units.max(1) as f32).sqrt());
        let x = self.linear_from(&format!("{name}_in"), x, gates * units, &init, true);
        self.layer(kind, name, &[&[x], others].concat(), settings)
    }
    /// How many of the first `steps` steps of tokens each sample has, up to its last token that is not `padding`.
    pub fn lengths(&mut self, name: &str, tokens: Value, steps: usize, padding: u32) -> Value {
        let all = [("padding", Toml::Integer(padding.into())), ("end", Toml::Integer(steps as i64))];
        self.layer("lengths", name, &[tokens], settings(all))
    }
    /// A convolution with `out` channels by square kernels, over zeros of width `padding` around the image.
    #[expect(clippy::too_many_arguments, reason = "what a convolution is, in the order of PyTorch")]
    pub fn conv2d(
        &mut self,
        name: &str,
        x: Value,
        out: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
        bias: bool,
    ) -> Value {
        let [out, kernel, stride, padding] = [out, kernel, stride, padding].map(|n| Toml::Integer(n as i64));
        let bias = Toml::Boolean(bias);
        let all =
            [("out", out), ("kernel", kernel), ("stride", stride), ("padding", padding), ("bias", bias)];
        self.layer("conv2d", name, &[x], settings(all))
    }
    /// Each channel to mean 0 and variance 1, then scaled and shifted; with PyTorch's epsilon and momentum.
    pub fn batch_norm(&mut self, name: &str, x: Value) -> Value {
        self.plain("batch_norm", name, x)
    }
    /// The channels of each site to mean 0 and variance 1, then scaled and shifted; with PyTorch's epsilon.
    pub fn layer_norm(&mut self, name: &str, x: Value) -> Value {
        self.plain("layer_norm", name, x)
    }
    /// The channels of each site over the root of their mean square plus `epsilon`, then scaled.
    pub fn rms_norm(&mut self, name: &str, x: Value, epsilon: f64) -> Value {
        self.layer("rms_norm", name, &[x], settings([("epsilon", Toml::Float(epsilon))]))
    }
    /// The largest number of each window.
    pub fn max_pool(&mut self, name: &str, x: Value, kernel: usize, stride: usize, padding: usize) -> Value {
        self.pool("max_pool", name, x, [kernel, stride, padding])
    }
    /// The mean of each window; zeros around the image count.
    pub fn average_pool(
        &mut self,
        name: &str,
        x: Value,
        kernel: usize,
        stride: usize,
        padding: usize,
    ) -> Value {
        self.pool("average_pool", name, x, [kernel, stride, padding])
    }
    fn pool(&mut self, kind: &str, name: &str, x: Value, numbers: [usize; 3]) -> Value {
        let [kernel, stride, padding] = numbers.map(|n| Toml::Integer(n as i64));
        let all = [("kernel", kernel), ("stride", stride), ("padding", padding)];
        self.layer(kind, name, &[x], settings(all))
    }
    /// The mean of each channel over all sites.
    pub fn global_average_pool(&mut self, name: &str, x: Value) -> Value {
        self.plain("global_average_pool", name, x)
    }
    /// Patches of `size` x `size` sites of an image as a sequence.
    pub fn patches(&mut self, name: &str, x: Value, size: usize) -> Value {
        self.layer("patches", name, &[x], settings([("size", Toml::Integer(size as i64))]))
    }
    /// Each step of a sequence plus learned numbers, drawn with this deviation.
    pub fn positions(&mut self, name: &str, x: Value, std: f64) -> Value {
        self.layer("positions", name, &[x], settings([("std", Toml::Float(std))]))
    }
    /// One more step before all others, with learned numbers, drawn with this deviation.
    pub fn class_token(&mut self, name: &str, x: Value, std: f64) -> Value {
        self.layer("class_token", name, &[x], settings([("std", Toml::Float(std))]))
    }
    /// Pairs of channels of each of so many heads turned by their step: of all channels, of the `qkv` or of the `kv` of attention.
    pub fn rotary(&mut self, name: &str, x: Value, heads: usize, of: &str) -> Value {
        let all = [("heads", Toml::Integer(heads as i64)), ("of", Toml::String(of.into()))];
        self.layer("rotary", name, &[x], settings(all))
    }
    /// Attention by so many heads, of a value whose channels are q, k and v. For two values, or other settings, see
    /// [`Graph::layer`].
    pub fn attention(&mut self, name: &str, qkv: Value, heads: usize, causal: bool, dropout: f64) -> Value {
        let all = [
            ("heads", Toml::Integer(heads as i64)),
            ("causal", Toml::Boolean(causal)),
            ("dropout", Toml::Float(dropout)),
        ];
        self.layer("attention", name, &[qkv], settings(all))
    }
    /// The `first` or the `last` step of a sequence.
    pub fn step(&mut self, name: &str, x: Value, at: &str) -> Value {
        self.layer("step", name, &[x], settings([("at", Toml::String(at.into()))]))
    }
    /// Some steps of a sequence.
    pub fn steps(&mut self, name: &str, x: Value, steps: std::ops::Range<usize>) -> Value {
        let [first, end] = [steps.start, steps.end].map(|at| Toml::Integer(at as i64));
        self.layer("steps", name, &[x], settings([("first", first), ("end", end)]))
    }
    /// Attention by so many heads of a value, the queries, to another whose channels are keys and then values: to as many of
    /// its steps as the lengths say, or to all.
    pub fn attend(
        &mut self,
        name: &str,
        queries: Value,
        memory: Value,
        heads: usize,
        lengths: Option<Value>,
    ) -> Value {
        let all: Vec<Value> = [queries, memory].into_iter().chain(lengths).collect();
        self.layer("attention", name, &all, settings([("heads", Toml::Integer(heads as i64))]))
    }
    /// The product of two values, number by number.
    pub fn multiply(&mut self, name: &str, a: Value, b: Value) -> Value {
        self.layer("multiply", name, &[a, b], Settings::default())
    }
    /// All numbers of an image as features.
    pub fn flatten(&mut self, name: &str, x: Value) -> Value {
        self.plain("flatten", name, x)
    }
    /// In training 0 with probability `p`, else x / (1 - p).
    pub fn dropout(&mut self, name: &str, x: Value, p: f64) -> Value {
        self.layer("dropout", name, &[x], settings([("p", Toml::Float(p))]))
    }
    /// Each channel of `x` times its gate, at every site.
    pub fn scale(&mut self, name: &str, x: Value, gate: Value) -> Value {
        self.layer("scale", name, &[x, gate], Settings::default())
    }
    /// Squeeze and excitation (Hu, Shen & Sun 2018): the means of all channels, `reduction` times fewer ReLUs, and a sigmoid
    /// for each channel, which scales it. Its layers are called `name` and, before that, `name_mean`, `name_squeeze`,
    /// `name_relu`, `name_excite` and `name_gate`.
    pub fn squeeze_excite(&mut self, name: &str, x: Value, reduction: usize) -> Value {
        // Of what has no known channels: 0 outputs, which are refused, with the layer's name, when the model is built.
        let channels = self.channels_of(x).unwrap_or(0);
        let part = |what: &str| format!("{name}_{what}");
        let mean = self.global_average_pool(&part("mean"), x);
        let fewer = if channels == 0 { 0 } else { (channels / reduction.max(1)).max(1) };
        let squeezed = self.linear(&part("squeeze"), mean, fewer);
        let squeezed = self.relu(&part("relu"), squeezed);
        let excited = self.linear(&part("excite"), squeezed, channels);
        let gate = self.plain("sigmoid", &part("gate"), excited);
        self.scale(name, x, gate)
    }
    /// An activation, by its name.
    pub fn activation(&mut self, kind: &str, name: &str, x: Value) -> Value {
        self.plain(kind, name, x)
    }
    pub fn relu(&mut self, name: &str, x: Value) -> Value {
        self.plain("relu", name, x)
    }
    /// A layer of one input and no settings.
    fn plain(&mut self, kind: &str, name: &str, x: Value) -> Value {
        self.layer(kind, name, &[x], Settings::default())
    }
    /// The sum of at least two values.
    pub fn add(&mut self, name: &str, values: &[Value]) -> Value {
        self.layer("add", name, values, Settings::default())
    }
    /// The channels of several values, one after another.
    pub fn concat(&mut self, name: &str, values: &[Value]) -> Value {
        self.layer("concat", name, values, Settings::default())
    }
    /// Some channels of a value.
    pub fn slice(&mut self, name: &str, x: Value, channels: std::ops::Range<usize>) -> Value {
        let [first, end] = [channels.start, channels.end].map(|at| Toml::Integer(at as i64));
        self.layer("slice", name, &[x], settings([("first", first), ("end", end)]))
    }
    /// Trains a value to answer, by the softmax cross-entropy of its classes times `weight`. The first output is the one
    /// that is judged. A graph without outputs has its last layer.
    pub fn output(&mut self, value: Value, weight: f64) {
        let from = self.name_of(value).to_string();
        self.network
            .outputs
            .push(recipe::Output { from, settings: settings([("weight", Toml::Float(weight))]) });
    }

    /// The channels of a value, where they follow from the layers before it and not from the data.
    fn channels_of(&self, value: Value) -> Option<usize> {
        let Source::Layer(layer) = value.0 else { return None };
        let spec = &self.network.layers[layer];
        let number = |key: &str| spec.settings.values().get(key)?.as_integer()?.try_into().ok();
        let named = |name: &String| {
            let at = self.network.layers.iter().position(|layer| layer.name.as_ref() == Some(name));
            self.channels_of(Value(Source::Layer(at?)))
        };
        match spec.kind.as_str() {
            "conv2d" | "linear" | "embedding" => number("out"),
            "slice" => number("end")?.checked_sub(number("first")?),
            "concat" => spec.from.iter().map(named).sum(),
            "pad_channels" => {
                let more = ["before", "after"].map(|key| number(key).unwrap_or(0));
                Some(named(spec.from.first()?)? + more[0] + more[1])
            }
            "lstm" => {
                let has_cells = spec.settings.values().get("cells").and_then(Toml::as_bool) == Some(true);
                Some(named(spec.from.first()?)? / if has_cells { 2 } else { 4 })
            }
            "gru" => Some(named(spec.from.first()?)? / 3),
            "attention" if spec.from.len() == 1 => Some(named(spec.from.first()?)? / 3),
            "flatten" | "patches" => None,
            _ => named(spec.from.first()?),
        }
    }
    fn name_of(&self, value: Value) -> &str {
        match value.0 {
            Source::Data => DATA,
            Source::Plain => PLAIN,
            Source::Layer(layer) => self.network.layers[layer].name.as_deref().unwrap_or(DATA),
        }
    }
}

fn settings<const N: usize>(values: [(&str, Toml); N]) -> Settings {
    values.into_iter().map(|(key, value)| (key.to_string(), value)).collect::<Table>().into()
}

impl From<Graph> for recipe::Model {
    fn from(graph: Graph) -> Self {
        recipe::Model::Network(graph.network)
    }
}

impl From<Graph> for Network {
    fn from(graph: Graph) -> Self {
        graph.network
    }
}
