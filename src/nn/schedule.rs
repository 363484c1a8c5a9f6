//! The calls of a pass through a network, in order, and how long each tensor is needed.
//!
//! A schedule follows from a model, the storage of its parameters, and a [`Wish`]. It is plain data: nothing is decided
//! when it is recorded or replayed.

use std::collections::BTreeMap;

use super::equal;
use super::layer::EqualGrads;
use super::model::{Model, NodeId, ValueId};
use super::planner::{Planner, kept};
use super::recompute;
use crate::gpu::{Dtype, Gpu};
use crate::ops::variants::Choices;
use crate::param::ParamId;

/// What a pass is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Whose gradients are computed; those of no parameter: there is no backward pass.
    pub gradients: Gradients,
    /// Whether what the dense gradients of packed weights take is there at the end, as f32.
    pub keeps: bool,
    /// Whether activations and gradients are bf16 where products read that.
    pub narrow: bool,
    /// Whether the batch can be written as bf16.
    pub narrow_batch: bool,
    /// Whether the backward pass computes again what it reads, where that takes at least a tenth less memory than keeping it.
    pub recomputes: bool,
    /// Whether the gradients of parameters are added to those that are there, of a pass before this one.
    pub adds: bool,
}

/// Parameters whose gradients are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gradients {
    #[default]
    None,
    /// Those of parameters that are not frozen.
    Trained,
    All,
}

/// A number array of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Item {
    Value(ValueId),
    Grad(ValueId),
    /// What a layer contributes to the gradient of its input number so, to be added.
    Share(NodeId, usize),
    /// The gradient of a parameter by this layer, to be added: number of the parameter and of its segment.
    ParamShare(NodeId, usize, usize),
    /// What a layer asked for besides, by its number: see [`super::layer::Extra`].
    Extra(NodeId, usize),
    /// A value, computed once more for the backward pass.
    Again(ValueId),
    /// An extra of a forward call, in the call that is recorded once more.
    ExtraAgain(NodeId, usize),
}

impl Item {
    /// The same, computed once more.
    fn again(self) -> Self {
        match self {
            Item::Value(value) => Item::Again(value),
            Item::Extra(node, number) => Item::ExtraAgain(node, number),
            other => other,
        }
    }
}

/// An item in one format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub item: Item,
    pub narrow: bool,
}

impl Key {
    pub(super) fn wide(item: Item) -> Self {
        Self { item, narrow: false }
    }
    /// The same, computed once more.
    pub(super) fn again(self) -> Self {
        Self { item: self.item.again(), ..self }
    }
}

/// One thing to be recorded.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// The batch is written, and, if a layer reads it so, once more as it is before it is varied.
    Batch {
        x: Key,
        plain: Option<Key>,
    },
    /// An f32 item is copied to bf16, for this node.
    Narrow {
        node: NodeId,
        from: Key,
        to: Key,
    },
    Forward {
        node: NodeId,
        x: Vec<Key>,
        y: Key,
        extras: Vec<Option<Key>>,
    },
    /// The losses of all heads: logits, and where their gradients go if asked for.
    Losses {
        heads: Vec<(Key, Option<Key>)>,
    },
    /// The gradient of a rectified value becomes 0 where that is not positive.
    Gate {
        node: NodeId,
        y: Key,
        d_y: Key,
    },
    Backward {
        node: NodeId,
        x: Vec<Key>,
        y: Option<Key>,
        d_y: Key,
        d_x: Vec<Option<(Key, bool)>>,
        grads: Grads,
        extras: Vec<Option<Key>>,
    },
    /// A share is added to the gradient of a value.
    Add {
        node: NodeId,
        from: Key,
        to: Key,
    },
}

/// Where the gradients of a node's parameters go.
#[derive(Clone, Debug, PartialEq)]
pub enum Grads {
    /// They are not asked for.
    None,
    /// To the parameters.
    Own,
    /// To shares, by parameter and segment, which are added to the parameters' afterwards.
    Shares(Vec<Vec<Key>>),
}

impl Call {
    /// The layer that it belongs to.
    pub(super) fn node(&self) -> Option<NodeId> {
        match self {
            Call::Batch { .. } | Call::Losses { .. } => None,
            Call::Narrow { node, .. }
            | Call::Forward { node, .. }
            | Call::Gate { node, .. }
            | Call::Backward { node, .. }
            | Call::Add { node, .. } => Some(*node),
        }
    }
    /// Whether it computes something once more.
    pub(super) fn is_again(&self) -> bool {
        let again = |key: &Key| matches!(key.item, Item::Again(_) | Item::ExtraAgain(..));
        match self {
            Call::Narrow { to, .. } => again(to),
            Call::Forward { y, extras, .. } => extras.iter().flatten().chain([y]).any(again),
            _ => false,
        }
    }
    /// What it reads and what it writes.
    pub fn touches(&self) -> [Vec<Key>; 2] {
        match self {
            Call::Batch { x, plain } => [vec![], plain.iter().chain([x]).copied().collect()],
            Call::Narrow { from, to, .. } => [vec![*from], vec![*to]],
            Call::Forward { x, y, extras, .. } => {
                [x.clone(), extras.iter().flatten().chain([y]).copied().collect()]
            }
            Call::Losses { heads } => [
                heads.iter().map(|(logits, _)| *logits).collect(),
                heads.iter().filter_map(|(_, d)| *d).collect(),
            ],
            Call::Gate { y, d_y, .. } => [vec![*y, *d_y], vec![]],
            Call::Backward { x, y, d_y, d_x, grads, extras, .. } => {
                let set = d_x.iter().flatten().filter(|(_, adds)| !adds).map(|(key, _)| *key);
                let set: Vec<Key> = set.collect();
                // A layer that reads a value twice sets its gradient first and adds to it then.
                let added = d_x.iter().flatten().filter(|(key, adds)| *adds && !set.contains(key));
                let read = x.iter().chain(y).chain([d_y]).copied().chain(added.map(|(key, _)| *key));
                // What a layer takes in this call alone it writes first.
                let extras: Vec<Key> = extras.iter().flatten().copied().collect();
                let shares = match grads {
                    Grads::Shares(all) => all.concat(),
                    _ => Vec::new(),
                };
                [read.collect(), [set, shares, extras].concat()]
            }
            Call::Add { from, to, .. } => [vec![*from, *to], vec![]],
        }
    }
}

/// How long a tensor is needed: from the call that writes it to the last that touches it, or another that is one with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Life {
    pub key: Key,
    /// Equal for tensors that are one, see [`super::equal`]; of any other tensor its key.
    pub root: Key,
    /// `(channels, cols)`, the length of a parameter's segment, or what a layer asked for.
    pub shape: Vec<usize>,
    pub dtype: Dtype,
    pub first: usize,
    pub last: usize,
}

impl Life {
    pub fn bytes(&self) -> u64 {
        self.shape.iter().product::<usize>() as u64 * if self.key.narrow { 2 } else { 4 }
    }
}

/// Calls in order, and the lives of their tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    pub calls: Vec<Call>,
    pub lives: Vec<Life>,
    /// Samples of a batch, with those that are missing.
    pub batch: usize,
    pub wish: Wish,
    /// By node, the shapes of what its layer carries from batch to batch.
    pub carried: Vec<Vec<Vec<usize>>>,
}

impl Schedule {
    /// What `wish` takes with parameters stored as they are.
    pub fn new(model: &Model, gpu: &Gpu, choices: &Choices, batch: usize, wish: Wish) -> Self {
        let trains = |id: ParamId| match wish.gradients {
            Gradients::None => false,
            Gradients::Trained => model.params[id].trains(),
            Gradients::All => model.params[id].learns(),
        };
        let mut planner = Planner::new(model, gpu, choices, batch, wish, &trains);
        planner.forward();
        if wish.gradients != Gradients::None {
            planner.backward(&trains);
        }
        let (calls, carried) = (planner.calls, model.carried(batch));
        let kept = kept(model, wish);
        let facts = Facts {
            shape: &|item| shape(model, gpu, choices, item, batch),
            kept: &kept,
            equal_grads: &|id| model.nodes[id].layer.equal_grads(),
        };
        let lives = lives(&calls, &facts);
        let once = Schedule { calls, lives, batch, wish, carried };
        if wish.recomputes { recompute::shortened(model, once, &facts) } else { once }
    }
}

/// What the lives of tensors follow from, besides the calls.
pub(super) struct Facts<'a> {
    /// The type of an item, where it is not bf16, and its shape.
    pub shape: &'a dyn Fn(Item) -> (Dtype, Vec<usize>),
    /// What is there at the end.
    pub kept: &'a [Item],
    pub equal_grads: &'a dyn Fn(NodeId) -> EqualGrads,
}

/// The lives of what calls touch.
pub(super) fn lives(calls: &[Call], facts: &Facts) -> Vec<Life> {
    let mut lives: BTreeMap<Key, Life> = BTreeMap::new();
    for (at, call) in calls.iter().enumerate() {
        for key in call.touches().concat() {
            let fresh = || {
                let (dtype, shape) = (facts.shape)(key.item);
                let dtype = if key.narrow { Dtype::Bf16 } else { dtype };
                Life { key, root: key, shape, dtype, first: at, last: at }
            };
            lives.entry(key).or_insert_with(fresh).last = at;
        }
    }
    for item in facts.kept {
        lives.entry(Key::wide(*item)).and_modify(|life| life.last = calls.len());
    }
    equal::unite(calls, facts.equal_grads, &mut lives);
    lives.into_values().collect()
}

/// The type of an item, where it is not bf16, and its shape.
pub(super) fn shape(
    model: &Model,
    gpu: &Gpu,
    choices: &Choices,
    item: Item,
    batch: usize,
) -> (Dtype, Vec<usize>) {
    let value = match item {
        Item::Value(value) | Item::Grad(value) | Item::Again(value) => value,
        Item::Share(node, input) => model.nodes[node].inputs[input],
        Item::ParamShare(node, param, segment) => {
            let param = &model.params[model.nodes[node].params[param]];
            return (Dtype::F32, param.segments[segment].grad.shape.clone());
        }
        Item::Extra(node, number) | Item::ExtraAgain(node, number) => {
            let node = &model.nodes[node];
            let extra = node.layer.extras(model.site(gpu, choices, node, batch)).swap_remove(number);
            return (extra.dtype, extra.shape);
        }
    };
    let extent = &model.values[value].extent;
    let dtype = if extent.vocabulary.is_some() { Dtype::U32 } else { Dtype::F32 };
    (dtype, vec![extent.channels, extent.cols(batch)])
}
