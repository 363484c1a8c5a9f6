//! A network as the translation sees it: its layers in order, each with its settings, what it reads, and its weights.

use std::collections::BTreeSet;

use crate::error::{Error, Result};
use crate::nn::{DATA, Extent, Model, PLAIN, layer, presets};
use crate::recipe::{self, Settings};
use crate::train::layout::shape_of;

pub struct Network {
    pub layers: Vec<Layer>,
    /// The values that answer, in the order of the model's outputs.
    pub outputs: Vec<Value>,
}

/// A value by the name that it has in the graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    pub name: String,
    /// Of one sample. In the graph images are (batch, channels, height, width), sequences (batch, steps, channels).
    pub extent: Extent,
}

pub struct Layer {
    pub name: String,
    pub kind: String,
    /// With defaults filled in.
    pub settings: Settings,
    pub inputs: Vec<Value>,
    pub output: Extent,
    pub weights: Vec<Weight>,
    /// Of an `lstm` or a `gru` the `linear` layer before it, where nothing else reads that: ONNX has both in one operator.
    pub projection: Option<Projection>,
}

/// A weight, by the name and with the shape that PyTorch has.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    pub name: String,
    pub shape: Vec<usize>,
}

/// A linear layer that is translated together with the layer that reads it.
pub struct Projection {
    pub x: Value,
    pub weights: Vec<Weight>,
}

impl Network {
    /// The network that a recipe describes, for samples of this extent.
    ///
    /// # Errors
    /// Those of [`Model::new`].
    pub fn new(model: &recipe::Model, input: &Extent, classes: usize) -> Result<Self> {
        let built = Model::new(model, input.clone(), classes, 0)?;
        let network = presets::network(model, input, classes)?;
        let names: Vec<String> =
            network.layers.iter().enumerate().map(|(index, spec)| spec.name_at(index)).collect();
        // Without variation both views of a batch are the same.
        let value = |name: &str| -> Result<Value> {
            if [DATA, PLAIN].contains(&name) {
                return Ok(Value { name: DATA.to_string(), extent: input.clone() });
            }
            let index = names.iter().position(|known| known == name);
            let index = index.ok_or_else(|| Error::internal(format!("no layer is called `{name}`")))?;
            Ok(Value { name: name.to_string(), extent: built.output_of(index).clone() })
        };
        let mut layers = Vec::new();
        for (index, spec) in network.layers.iter().enumerate() {
            let before = || if index == 0 { DATA } else { &names[index - 1] }.to_string();
            let from = if spec.from.is_empty() { vec![before()] } else { spec.from.clone() };
            let weight = |id| {
                let param = &built.params[id];
                Weight { name: param.name.clone(), shape: shape_of(param) }
            };
            layers.push(Layer {
                name: names[index].clone(),
                kind: spec.kind.clone(),
                settings: layer::settings(spec)?,
                inputs: from.iter().map(|name| value(name)).collect::<Result<_>>()?,
                output: built.output_of(index).clone(),
                weights: built.params_of(&names[index]).iter().map(|&id| weight(id)).collect(),
                projection: None,
            });
        }
        let outputs = built.heads().iter().map(|head| value(&head.name)).collect::<Result<_>>()?;
        let mut network = Self { layers, outputs };
        network.join_projections()?;
        Ok(network)
    }

    /// Joins recurrent layers with the linear layers that nothing but them reads.
    fn join_projections(&mut self) -> Result<()> {
        let mut joined = BTreeSet::new();
        for index in 0..self.layers.len() {
            if !self.layers[index].is_one_operator()? {
                continue;
            }
            let read = self.layers[index].inputs[0].name.clone();
            let readers = self.layers.iter().flat_map(|layer| &layer.inputs);
            let is_alone = readers.filter(|input| input.name == read).count() == 1
                && self.outputs.iter().all(|output| output.name != read);
            let before = self.layers.iter().position(|layer| layer.name == read && layer.kind == "linear");
            if let (Some(before), true) = (before, is_alone) {
                let (x, weights) =
                    (self.layers[before].inputs[0].clone(), self.layers[before].weights.clone());
                self.layers[index].projection = Some(Projection { x, weights });
                joined.insert(read);
            }
        }
        self.layers.retain(|layer| !joined.contains(&layer.name));
        Ok(())
    }
}

impl Layer {
    pub fn x(&self) -> &str {
        &self.inputs[0].name
    }
    /// Of its first input.
    pub fn extent(&self) -> &Extent {
        &self.inputs[0].extent
    }
    /// A weight by the last word of its name, such as "bias"; of a shared one as its owner calls it.
    pub fn weight(&self, word: &str) -> Option<&Weight> {
        self.weights.iter().find(|weight| weight.name.rsplit('.').next() == Some(word))
    }
    /// The lengths of samples, where they are its last input.
    pub fn lengths(&self) -> Option<&Value> {
        let [_, .., last] = &self.inputs[..] else { return None };
        Some(last).filter(|value| value.extent.longest().is_some())
    }
    pub fn number(&self, key: &str) -> Result<usize> {
        self.settings.u32(key).map(|number| number as usize)
    }
    /// Whether it is recurrent, and ONNX's operator of that kind can stand for it: that gives out no cells but the last, and
    /// zeros behind the end of a sample.
    fn is_one_operator(&self) -> Result<bool> {
        let is_recurrent = ["lstm", "gru"].contains(&self.kind.as_str());
        Ok(is_recurrent && self.lengths().is_none() && !self.has_cells()?)
    }
    /// Whether a recurrent layer gives out its cells at every step.
    pub fn has_cells(&self) -> Result<bool> {
        if self.kind == "lstm" { self.settings.bool("cells") } else { Ok(false) }
    }
}

/// The axis of channels in the graph.
pub fn channel_axis(extent: &Extent) -> i64 {
    if extent.is_sequence() { 2 } else { 1 }
}
