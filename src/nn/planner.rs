//! Which calls a pass takes: what is bf16, which gradients are computed, and how they are added up.

use std::collections::{HashMap, HashSet};

use super::layer::{Held, Reads, Site};
use super::model::{Head, Model, Node, NodeId, ValueId};
use super::schedule::{Call, Gradients, Grads, Item, Key, Wish};
use crate::gpu::Gpu;
use crate::ops::variants::Choices;
use crate::param::ParamId;

/// What is there at the end: operands of the dense gradients of packed weights.
pub(super) fn kept(model: &Model, wish: Wish) -> Vec<Item> {
    let packed = model.params.pairs().filter(|(_, param)| wish.keeps && param.packed().is_some());
    packed.flat_map(|(id, _)| model.operands(id).flat_map(|(_, items)| items)).collect()
}

/// A schedule in the making.
pub(super) struct Planner<'a> {
    model: &'a Model,
    gpu: &'a Gpu,
    choices: &'a Choices,
    batch: usize,
    wish: Wish,
    /// By node.
    reads: Vec<Reads>,
    /// By value, whether its gradient is needed.
    needs: Vec<bool>,
    pub(super) calls: Vec<Call>,
}

impl<'a> Planner<'a> {
    pub(super) fn new(
        model: &'a Model,
        gpu: &'a Gpu,
        choices: &'a Choices,
        batch: usize,
        wish: Wish,
        trains: &dyn Fn(ParamId) -> bool,
    ) -> Self {
        let (reads, needs, calls) = (Vec::new(), model.needs_grad(trains), Vec::new());
        let mut planner = Self { model, gpu, choices, batch, wish, reads, needs, calls };
        planner.reads = model.nodes.iter().map(|node| planner.reads(node)).collect();
        planner
    }

    fn site(&self, node: &'a Node) -> Site<'a> {
        self.model.site(self.gpu, self.choices, node, self.batch)
    }

    /// What a node reads as bf16: the same whatever is kept, so that no number depends on that. Nor does one depend on how a
    /// data set is stored: a batch, which some cannot write as bf16, is not offered.
    fn reads(&self, node: &'a Node) -> Reads {
        if !self.wish.narrow {
            return Reads::default();
        }
        let producer = |&value: &ValueId| self.model.values[value].producer.map(|id| &self.model.nodes[id]);
        let writes = |node: &'a Node| node.layer.writes_narrow(self.site(node));
        let is_written = node.inputs.iter().filter_map(producer).any(writes);
        node.layer.reads_narrow(self.site(node), is_written)
    }

    /// Whether a value is written as bf16 and never as f32.
    fn is_narrow(&self, value: ValueId) -> bool {
        let Value { wide, narrow } = self.asked(value);
        let producer = self.model.values[value].producer.map(|id| &self.model.nodes[id]);
        let can = producer.map_or(self.wish.narrow_batch, |node| node.layer.writes_narrow(self.site(node)));
        narrow && !wide && can
    }
    fn asked(&self, value: ValueId) -> Value {
        let model = self.model;
        let is_head = model.heads.iter().any(|head| head.value == value);
        let is_kept = kept(model, self.wish).contains(&Item::Value(value));
        let again = self.needs[value] && model.values[value].producer.is_some_and(|id| self.rereads(id));
        let wide = model.readers(value).any(|id| !self.reads[id].x);
        Value {
            wide: wide || is_head || is_kept || again,
            narrow: model.readers(value).any(|id| self.reads[id].x),
        }
    }
    /// Whether a node, or the gate before it, reads its output in the backward pass.
    fn rereads(&self, id: NodeId) -> bool {
        let node = &self.model.nodes[id];
        let feeds_back = node.inputs.iter().any(|&input| self.needs[input]);
        self.model.values[node.output].is_gated || node.layer.needs(feeds_back).y
    }

    pub(super) fn forward(&mut self) {
        let model = self.model;
        let batch = |value| Key { item: Item::Value(value), narrow: self.is_narrow(value) };
        let (x, plain) = (batch(0), model.plain.map(batch));
        self.calls.push(Call::Batch { x, plain });
        let mut copied: HashSet<ValueId> = HashSet::new();
        for (id, node) in model.nodes.iter().enumerate() {
            let narrow = self.reads[id].x;
            let keys = node.inputs.iter().map(|&input| Key { item: Item::Value(input), narrow });
            let x: Vec<Key> = keys.collect();
            for (&input, &to) in node.inputs.iter().zip(&x).filter(|_| narrow) {
                if !self.is_narrow(input) && copied.insert(input) {
                    self.calls.push(Call::Narrow { node: id, from: Key::wide(to.item), to });
                }
            }
            let y = Key { item: Item::Value(node.output), narrow: self.is_narrow(node.output) };
            let extras = self.extras(id, &[Held::Forward, Held::Between]);
            self.calls.push(Call::Forward { node: id, x, y, extras });
        }
        let asks = self.wish.gradients != Gradients::None;
        let head = |one: &Head| {
            let counts = asks && one.weight > 0.0;
            (Key::wide(Item::Value(one.value)), counts.then_some(Key::wide(Item::Grad(one.value))))
        };
        self.calls.push(Call::Losses { heads: model.heads.iter().map(head).collect() });
    }

    /// Whether the gradient of a value is written as bf16 and never as f32.
    fn is_narrow_grad(&self, value: ValueId) -> bool {
        let model = self.model;
        let Some(producer) = model.values[value].producer.filter(|_| !model.values[value].is_gated) else {
            return false;
        };
        let is_head = model.heads.iter().any(|head| head.value == value);
        let is_kept = kept(model, self.wish).contains(&Item::Grad(value));
        let readers: Vec<NodeId> = model.readers(value).collect();
        let passes = match readers[..] {
            [id] => model.nodes[id].layer.passes_narrow(self.site(&model.nodes[id]), self.reads[id]),
            _ => false,
        };
        self.reads[producer].d_y && passes && !is_head && !is_kept
    }

    pub(super) fn backward(&mut self, trains: &dyn Fn(ParamId) -> bool) {
        let model = self.model;
        let counting = model.heads.iter().filter(|head| head.weight > 0.0);
        let mut written: HashSet<ValueId> = counting.map(|head| head.value).collect();
        let mut params: HashMap<ParamId, NodeId> = HashMap::new();
        for (id, node) in model.nodes.iter().enumerate().rev().filter(|(_, node)| self.needs[node.output]) {
            let (value, grad) = (Item::Value(node.output), Item::Grad(node.output));
            if model.values[node.output].is_gated {
                self.calls.push(Call::Gate { node: id, y: Key::wide(value), d_y: Key::wide(grad) });
            }
            let d_y = Key { item: grad, narrow: self.reads[id].d_y };
            if d_y.narrow && !self.is_narrow_grad(node.output) {
                self.calls.push(Call::Narrow { node: id, from: Key::wide(grad), to: d_y });
            }
            let feeds_back = node.inputs.iter().any(|&input| self.needs[input]);
            let needs = node.layer.needs(feeds_back);
            let adds = node.layer.adds(self.site(node));
            let mut shares = Vec::new();
            let mut sink = |(number, &input): (usize, &ValueId)| {
                if !self.needs[input] {
                    return None;
                }
                if written.insert(input) {
                    return Some((
                        Key { item: Item::Grad(input), narrow: self.is_narrow_grad(input) },
                        false,
                    ));
                }
                if adds {
                    return Some((Key::wide(Item::Grad(input)), true));
                }
                let share = Key::wide(Item::Share(id, number));
                shares.push((share, Key::wide(Item::Grad(input))));
                Some((share, false))
            };
            let d_x: Vec<_> = node.inputs.iter().enumerate().map(&mut sink).collect();
            let narrow = self.reads[id].x;
            let is_read = |&&input: &&ValueId| {
                let is_lengths = model.values[input].extent.longest().is_some();
                needs.x || is_lengths && node.layer.rereads_lengths()
            };
            let read = node.inputs.iter().filter(is_read);
            let x = read.map(|&input| Key { item: Item::Value(input), narrow }).collect();
            let grads = match node.params.first() {
                Some(&first) if node.params.iter().any(|&param| trains(param)) => {
                    let is_first = *params.entry(first).or_insert(id) == id;
                    if is_first && !self.wish.adds {
                        Grads::Own
                    } else {
                        Grads::Shares(self.param_shares(id))
                    }
                }
                _ => Grads::None,
            };
            self.calls.push(Call::Backward {
                node: id,
                x,
                y: needs.y.then_some(Key::wide(value)),
                d_y,
                d_x,
                grads,
                extras: self.extras(id, &[Held::Backward, Held::Between]),
            });
            self.calls.extend(shares.into_iter().map(|(from, to)| Call::Add { node: id, from, to }));
        }
    }

    /// What a layer asked for, of what is held so.
    fn extras(&self, id: NodeId, held: &[Held]) -> Vec<Option<Key>> {
        let extras = self.model.nodes[id].layer.extras(self.site(&self.model.nodes[id]));
        let key = |number| Key::wide(Item::Extra(id, number));
        extras
            .iter()
            .enumerate()
            .map(|(number, extra)| held.contains(&extra.held).then(|| key(number)))
            .collect()
    }

    /// None of what has no gradient: what a forward pass observes of a statistic stands there.
    fn param_shares(&self, id: NodeId) -> Vec<Vec<Key>> {
        let segments = |(number, param): (usize, &ParamId)| {
            let param = &self.model.params[*param];
            let count = if param.learns() { param.segments.len() } else { 0 };
            (0..count).map(|segment| Key::wide(Item::ParamShare(id, number, segment))).collect()
        };
        self.model.nodes[id].params.iter().enumerate().map(segments).collect()
    }
}

/// The formats that a value is asked for in.
struct Value {
    wide: bool,
    narrow: bool,
}
