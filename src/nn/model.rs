//! A network whose layers are built: nodes in the order of computation, values between them, parameters beside them.

use std::collections::BTreeMap;
use std::ops::Range;

use super::extent::Extent;
use super::layer::{Layer, Operand, Site};
use super::pass::Left;
use super::schedule::Item;
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Recorder, Tensor};
use crate::ops::add::{self, Window};
use crate::ops::variants::{Choices, Shape};
use crate::param::{Param, ParamId, ParamSet};
use crate::recipe::unknown;

/// Number of a value: 0 is the batch, as it is varied.
pub type ValueId = usize;
/// Number of a node, in the order of computation.
pub type NodeId = usize;

/// A network of layers from the features of samples to classes.
pub struct Model {
    pub(super) nodes: Vec<Node>,
    pub(super) values: Vec<Value>,
    /// The batch before it is varied, if a layer reads it.
    pub(super) plain: Option<ValueId>,
    pub(super) heads: Vec<Head>,
    pub params: ParamSet,
    /// Of one sample.
    pub input: Extent,
    pub classes: usize,
}

/// A layer with what it reads and writes.
pub struct Node {
    pub name: String,
    pub(super) layer: Box<dyn Layer>,
    pub(super) inputs: Vec<ValueId>,
    pub(super) output: ValueId,
    /// What it reads; a layer that shares them comes after the one that declared them.
    pub params: Vec<ParamId>,
    /// Whether it has declared them itself.
    pub owns: bool,
}

/// What one node writes and others read.
pub(super) struct Value {
    /// The node that writes it; the batch has none.
    pub producer: Option<NodeId>,
    pub extent: Extent,
    /// Whether its gradient is to be rectified before its producer reads it, and nobody does so on the way.
    pub is_gated: bool,
}

/// A value that is trained to answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// That of its layer.
    pub name: String,
    pub value: ValueId,
    /// The factor on its loss; 0 where it does not count.
    pub weight: f32,
}

impl Model {
    /// The nodes that have declared parameters, in the order of computation.
    pub fn trainable_layers(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.owns && !node.params.is_empty())
    }
    /// What is said of the value that takes the most memory, with so many columns a batch.
    pub fn largest_value(&self, batch: usize) -> String {
        let largest = self.values.iter().max_by_key(|value| value.extent.numbers());
        let Some(Value { producer, extent, .. }) = largest else { return "none".into() };
        let of =
            producer.map_or("the batch".into(), |node| format!("the output of `{}`", self.nodes[node].name));
        format!("{of}, {extent} for each of {batch} samples")
    }
    /// What the layer of this number in its description writes, whether or not another layer does its work.
    pub fn output_of(&self, layer: usize) -> &Extent {
        &self.values[layer + 1].extent
    }
    /// The parameters that the layer of this name reads.
    pub fn params_of(&self, layer: &str) -> &[ParamId] {
        self.nodes.iter().find(|node| node.name == layer).map_or(&[], |node| &node.params)
    }
    /// Whether a layer reads the batch as it is, where samples are varied.
    pub fn reads_plain(&self) -> bool {
        self.plain.is_some()
    }
    /// The outputs.
    pub fn heads(&self) -> &[Head] {
        &self.heads
    }
    /// The number of the output that is judged: the first that counts.
    pub fn judged(&self) -> usize {
        self.heads.iter().position(|head| head.weight > 0.0).unwrap_or(0)
    }
    /// Gives outputs other weights, by their names; those not named count no longer.
    ///
    /// # Errors
    /// `Kind::Usage` for a name that is no output's.
    pub fn weigh(&mut self, outputs: &BTreeMap<String, f64>) -> Result<()> {
        let names = || self.heads.iter().map(|head| head.name.as_str());
        if let Some(name) = outputs.keys().find(|name| !names().any(|known| known == *name)) {
            return Err(unknown("output", name, names()).at("loss.outputs"));
        }
        for head in &mut self.heads {
            head.weight = outputs.get(&head.name).map_or(0.0, |&weight| weight as f32);
        }
        Ok(())
    }
    /// By value, whether an output that counts comes after it.
    fn counts(&self) -> Vec<bool> {
        let mut counts = vec![false; self.values.len()];
        for head in self.heads.iter().filter(|head| head.weight > 0.0) {
            counts[head.value] = true;
        }
        for node in self.nodes.iter().rev() {
            if counts[node.output] {
                node.inputs.iter().for_each(|&input| counts[input] = true);
            }
        }
        counts
    }
    /// The trainable layers, by whether an output that counts comes after them: those others have no gradient.
    pub fn counting_layers(&self) -> Vec<bool> {
        let counts = self.counts();
        let reaches = |owner: &Node| {
            // A shared parameter belongs to one layer and is used by others.
            self.nodes.iter().any(|node| {
                counts[node.output] && node.params.iter().any(|param| owner.params.contains(param))
            })
        };
        self.trainable_layers().map(reaches).collect()
    }
    /// How often each output answers for a sample: once, or at each step of a sequence.
    pub fn answers(&self) -> usize {
        self.values[self.heads[0].value].extent.cols(1)
    }
    /// The dense products of one step with a batch of so many columns.
    pub fn products(&self, batch: usize) -> Vec<Shape> {
        let of = |node: &Node| node.layer.products(&self.params, &node.params, batch);
        self.nodes.iter().flat_map(of).collect()
    }
    /// Columns of a node's output.
    pub(super) fn cols(&self, node: &Node, batch: usize) -> usize {
        self.values[node.output].extent.cols(batch)
    }
    /// The nodes that read a value, each as often as it does.
    pub(super) fn readers(&self, value: ValueId) -> impl Iterator<Item = NodeId> + '_ {
        let nodes = self.nodes.iter().enumerate();
        nodes.flat_map(move |(id, node)| {
            node.inputs.iter().filter(move |&&input| input == value).map(move |_| id)
        })
    }
    /// By value, whether its gradient is needed where these parameters train: something of them lies before it, and an
    /// output that counts after it.
    pub fn needs_grad(&self, trains: impl Fn(ParamId) -> bool) -> Vec<bool> {
        let counts = self.counts();
        let mut needs = vec![false; self.values.len()];
        for node in &self.nodes {
            let learns = |&id: &ParamId| self.params[id].learns() && trains(id);
            let is_before = node.params.iter().any(learns) || node.inputs.iter().any(|&input| needs[input]);
            needs[node.output] = counts[node.output] && is_before;
        }
        needs
    }
    /// By parameter, how often its products are computed in the forward pass, and how often the gradient of their input is
    /// where these parameters train.
    pub fn uses(&self, trains: impl Fn(ParamId) -> bool) -> Vec<[usize; 2]> {
        let needs = self.needs_grad(trains);
        let mut uses = vec![[0; 2]; self.params.len()];
        for node in &self.nodes {
            let feeds_back = node.inputs.iter().any(|&input| needs[input]);
            let feeds_back = feeds_back || node.layer.is_recurrent() && needs[node.output];
            for id in &node.params {
                uses[id.0][0] += 1;
                uses[id.0][1] += usize::from(feeds_back);
            }
        }
        uses
    }

    pub(super) fn site<'a>(
        &'a self,
        gpu: &'a Gpu,
        choices: &'a Choices,
        node: &'a Node,
        batch: usize,
    ) -> Site<'a> {
        let (set, params, cols) = (&self.params, &node.params, self.cols(node, batch));
        Site { gpu, choices, set, params, batch, cols, during: None }
    }

    /// By layer that multiplies by this weight: what its dense gradient is a product of.
    pub fn operands(&self, weight: ParamId) -> impl DoubleEndedIterator<Item = (&Node, [Item; 2])> {
        let nodes = self.nodes.iter().enumerate().filter(move |(_, node)| node.params.contains(&weight));
        nodes.map(|(id, node)| {
            let item = |operand| match operand {
                Operand::Input => Item::Value(node.inputs[0]),
                Operand::OutputGrad => Item::Grad(node.output),
                Operand::Extra(number) => Item::Extra(id, number),
            };
            (node, node.layer.operands().map(item))
        })
    }
    /// How many steps it can be passed through, one at a time; `None` where there is no end.
    pub fn steps_at_most(&self) -> Option<usize> {
        self.nodes.iter().filter_map(|node| node.layer.steps_at_most()).min()
    }
    /// The first layer that carries something from batch to batch.
    pub fn carries(&self) -> Option<&Node> {
        self.nodes.iter().find(|node| !node.layer.carried(4).is_empty())
    }
    /// By node, what its layer carries from batch to batch.
    pub(super) fn carried(&self, batch: usize) -> Vec<Vec<Vec<usize>>> {
        self.nodes.iter().map(|node| node.layer.carried(batch)).collect()
    }

    /// Records the gradient of some rows of a parameter, also where nothing is kept, after backward passes that kept what
    /// it takes. Those of several passes, and of several layers that share the parameter, are added up.
    pub fn dense_grad(
        &self,
        rec: &mut Recorder,
        choices: &Choices,
        left: &Left,
        (param, rows): (ParamId, Range<usize>),
        d_weight: &Tensor,
    ) -> Result<()> {
        let gpu = rec.gpu.clone();
        let mut is_first = true;
        for (node, [x, d_y]) in self.operands(param).rev() {
            let place = node.params.iter().position(|&id| id == param).expect("it is the layer's");
            for operands in left.operands([x, d_y]).ok_or_else(|| not_kept(&self.params[param]))? {
                let (site, of) = (self.site(&gpu, choices, node, left.batch()), (place, rows.clone()));
                if std::mem::take(&mut is_first) {
                    node.layer.dense_grad(rec, site, operands, of, d_weight)?;
                } else {
                    let more = left.spare(&gpu, d_weight)?;
                    node.layer.dense_grad(rec, site, operands, of, &more)?;
                    add::record(rec, &more, d_weight, Window::all(d_weight), true)?;
                }
            }
        }
        if is_first { Err(not_kept(&self.params[param])) } else { Ok(()) }
    }
}

fn not_kept(param: &Param) -> Error {
    Error::internal(format!("no pass keeps what the dense gradient of `{}` takes", param.name))
}
