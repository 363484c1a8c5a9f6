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

use toml::{Table, Value as Toml};

use crate::recipe::{self, Network, Settings};

/// The name of the values that a batch brings: the features of its samples.
pub const DATA: &str = "data";

/// A network in the making: plain data, which a recipe stores. Mistakes are found when a model is built from it.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    network: Network,
}

/// A value of a [`Graph`]: the output of one of its layers, or the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value(Option<usize>);

impl Graph {
    pub fn new() -> Self {
        Self::default()
    }
    /// The features of a batch's samples.
    pub fn data(&self) -> Value {
        Value(None)
    }

    /// A layer of any kind: see [`super::layer::ALL`].
    pub fn layer(&mut self, kind: &str, name: &str, from: &[Value], settings: Settings) -> Value {
        let from = from.iter().map(|value| self.name_of(*value).to_string()).collect();
        let (kind, name) = (kind.to_string(), Some(name.to_string()));
        self.network.layers.push(recipe::Layer { kind, name, from, settings });
        Value(Some(self.network.layers.len() - 1))
    }
    /// `weight x + bias`, with `out` outputs.
    pub fn linear(&mut self, name: &str, x: Value, out: usize) -> Value {
        self.layer("linear", name, &[x], settings([("out", Toml::Integer(out as i64))]))
    }
    /// As [`Graph::linear`], with the weight and the bias of another linear layer.
    pub fn linear_shared(&mut self, name: &str, x: Value, of: Value) -> Value {
        let other = self.name_of(of).to_string();
        let spec = self.network.layers.iter().find(|layer| layer.name.as_ref() == Some(&other));
        let out = spec.and_then(|spec| spec.settings.values().get("out").cloned());
        let out = out.unwrap_or(Toml::Integer(0)); // refused, with the layer's name, when the model is built
        self.layer("linear", name, &[x], settings([("out", out), ("share", Toml::String(other))]))
    }
    pub fn relu(&mut self, name: &str, x: Value) -> Value {
        self.layer("relu", name, &[x], Settings::default())
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

    fn name_of(&self, value: Value) -> &str {
        value.0.map_or(DATA, |layer| self.network.layers[layer].name.as_deref().unwrap_or(DATA))
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
