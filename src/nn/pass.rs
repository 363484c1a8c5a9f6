//! A schedule with its tensors, which can be recorded.

use std::cell::RefCell;
use std::collections::HashMap;

use super::carried::Carried;
use super::layer::{Backward, During, EqualGrads, Sink, Site};
use super::model::{Model, Node};
use super::schedule::{Call, Gradients, Grads, Item, Key, Schedule};
use crate::error::Result;
use crate::gpu::{Gpu, Phase, Recorder, Tensor, Uniform};
use crate::ops::add::{self, Window};
use crate::ops::variants::Choices;
use crate::ops::{narrow, relu};

/// A pass through a network.
pub struct Pass {
    pub schedule: Schedule,
    tensors: HashMap<Key, Tensor>,
    pub carried: Carried,
}

impl Pass {
    pub(super) fn new(schedule: Schedule, tensors: HashMap<Key, Tensor>, carried: Carried) -> Self {
        Self { schedule, tensors, carried }
    }
    /// Samples of a batch, with those that are missing.
    pub fn batch(&self) -> usize {
        self.schedule.batch
    }
    /// Where the batch is written: f32, or bf16 where that is all that is read.
    pub fn input(&self) -> &Tensor {
        match self.schedule.calls.first() {
            Some(Call::Batch { x, .. }) => self.at(*x),
            _ => unreachable!("a pass begins with its batch"),
        }
    }
    /// Where the batch is written as it is, though it may be varied; `None` where no layer reads it so.
    pub fn plain(&self) -> Option<&Tensor> {
        match self.schedule.calls.first() {
            Some(Call::Batch { plain, .. }) => plain.map(|plain| self.at(plain)),
            _ => unreachable!("a pass begins with its batch"),
        }
    }
    /// The logits of each head, and where their gradients go if there is a backward pass.
    pub fn heads(&self) -> Vec<(&Tensor, Option<&Tensor>)> {
        let losses = |call: &Call| match call {
            Call::Losses { heads } => {
                Some(heads.iter().map(|(y, d)| (self.at(*y), d.map(|d| self.at(d)))).collect())
            }
            _ => None,
        };
        self.schedule.calls.iter().find_map(losses).expect("a pass has losses")
    }
    /// An item as f32, if the pass has it so.
    pub fn wide(&self, item: Item) -> Option<&Tensor> {
        self.tensors.get(&Key { item, narrow: false })
    }
    /// Whether anything reads a node's input as bf16.
    pub(super) fn reads_narrow(&self, id: usize) -> bool {
        let reads = |call: &Call| matches!(call, Call::Forward { node, x, .. } if *node == id && x.iter().any(|x| x.narrow));
        self.schedule.calls.iter().any(reads)
    }

    fn at(&self, key: Key) -> &Tensor {
        &self.tensors[&key]
    }
    fn all(&self, keys: &[Key]) -> Vec<&Tensor> {
        keys.iter().map(|key| self.at(*key)).collect()
    }
}

/// What passes have left for dense gradients, which are those of all of them together.
pub struct Left<'a> {
    pass: &'a Pass,
    /// Copies of what the passes before this one had left.
    before: &'a [Copies],
    /// Memory for what is added to a gradient, of the most numbers that were asked for.
    spare: RefCell<Option<Tensor>>,
}

/// Copies of items that a pass had as f32.
pub type Copies = HashMap<Item, Tensor>;

impl<'a> Left<'a> {
    /// By one pass.
    pub fn by(pass: &'a Pass) -> Self {
        Self::after(pass, &[])
    }
    /// By a pass, and by others before it.
    pub fn after(pass: &'a Pass, before: &'a [Copies]) -> Self {
        Self { pass, before, spare: RefCell::new(None) }
    }
    pub(super) fn batch(&self) -> usize {
        self.pass.batch()
    }
    /// What each pass has left of two items, the last one first; `None` where one of them is not there.
    pub(super) fn operands(&self, items: [Item; 2]) -> Option<Vec<[&'a Tensor; 2]>> {
        let last = items.map(|item| self.pass.wide(item));
        let before = self.before.iter().map(|copies| items.map(|item| copies.get(&item)));
        std::iter::once(last).chain(before).map(|[x, d_y]| Some([x?, d_y?])).collect()
    }
    pub(super) fn spare(&self, gpu: &Gpu, like: &Tensor) -> Result<Tensor> {
        let mut spare = self.spare.borrow_mut();
        let own = match spare.take().filter(|own| own.len() >= like.len()) {
            Some(own) => own,
            None => gpu.tensor("gradient to be added", like.dtype(), &[like.len()])?,
        };
        Ok(spare.insert(own).first(&like.shape))
    }
}

impl Model {
    /// Records the forward pass from the batch, which was written to [`Pass::input`], to the logits of the heads.
    pub fn forward(&self, rec: &mut Recorder, choices: &Choices, step: &Uniform, pass: &Pass) -> Result<()> {
        rec.phase(Phase::Forward);
        let calls = pass.schedule.calls.iter().take_while(|call| !matches!(call, Call::Losses { .. }));
        calls.into_iter().try_for_each(|call| self.call(rec, choices, step, pass, call))
    }

    /// Records the backward pass from the gradients of the logits, which the losses have written: the gradient of every
    /// parameter that was wished for.
    pub fn backward(&self, rec: &mut Recorder, choices: &Choices, step: &Uniform, pass: &Pass) -> Result<()> {
        let calls = pass.schedule.calls.iter().skip_while(|call| !matches!(call, Call::Losses { .. }));
        calls.into_iter().try_for_each(|call| {
            rec.phase(if call.is_again() { Phase::Recompute } else { Phase::Backward });
            self.call(rec, choices, step, pass, call)
        })?;
        rec.phase(Phase::Backward);
        Ok(())
    }

    pub(super) fn call(
        &self,
        rec: &mut Recorder,
        choices: &Choices,
        step: &Uniform,
        pass: &Pass,
        call: &Call,
    ) -> Result<()> {
        let gpu = rec.gpu.clone();
        let trains = pass.schedule.wish.gradients != Gradients::None;
        let extras = |keys: &[Option<Key>]| -> Vec<Option<&Tensor>> {
            keys.iter().map(|key| key.map(|key| pass.at(key))).collect()
        };
        let mut node = |id: usize| -> &Node {
            rec.scope(&self.nodes[id].name);
            &self.nodes[id]
        };
        match call {
            Call::Batch { .. } | Call::Losses { .. } => Ok(()),
            Call::Narrow { node: id, from, to } => {
                node(*id);
                narrow::record(rec, pass.at(*from), pass.at(*to))
            }
            Call::Forward { node: id, x, y, extras: keys } => {
                let node = node(*id);
                let (extras, carried) = (&extras(keys), pass.carried.of(*id));
                let during = During { step, trains, number: *id, extras, carried };
                let site = Site { during: Some(during), ..self.site(&gpu, choices, node, pass.batch()) };
                node.layer.forward(rec, site, &pass.all(x), pass.at(*y))
            }
            Call::Gate { node: id, y, d_y } => {
                node(*id);
                relu::record_gate(rec, pass.at(*y), pass.at(*d_y))
            }
            Call::Backward { node: id, x, y, d_y, d_x, grads, extras: keys } => {
                let node = node(*id);
                let own = |&id| self.params[id].segments.iter().map(|segment| segment.grad.clone()).collect();
                let own: Vec<Vec<Tensor>> = node.params.iter().map(own).collect();
                let shares = |keys: &Vec<Key>| pass.all(keys).into_iter().cloned().collect();
                let shares: Option<Vec<Vec<Tensor>>> = match grads {
                    Grads::Shares(keys) => Some(keys.iter().map(shares).collect()),
                    _ => None,
                };
                let of_layer = node.layer.equal_grads();
                let mut equal = if of_layer == EqualGrads::All { vec![pass.at(*d_y)] } else { Vec::new() };
                let mut sink = |&(key, adds): &(Key, bool)| {
                    let to = pass.at(key);
                    if adds || of_layer == EqualGrads::No {
                        return Some(Sink { to, adds });
                    }
                    let is_there = equal.iter().any(|other| to.shares(other));
                    equal.push(to);
                    (!is_there).then_some(Sink { to, adds })
                };
                let d_x: Vec<_> = d_x.iter().map(|to| to.as_ref().and_then(&mut sink)).collect();
                let backward = Backward {
                    x: &pass.all(x),
                    y: y.map(|y| pass.at(y)),
                    d_y: pass.at(*d_y),
                    d_x: &d_x,
                    grads: (*grads != Grads::None).then_some(shares.as_ref().unwrap_or(&own)),
                };
                let (extras, carried) = (&extras(keys), pass.carried.of(*id));
                let during = During { step, trains, number: *id, extras, carried };
                let site = Site { during: Some(during), ..self.site(&gpu, choices, node, pass.batch()) };
                node.layer.backward(rec, site, &backward)?;
                let sums = shares.iter().flatten().zip(&own).flat_map(|(shares, own)| shares.iter().zip(own));
                sums.into_iter()
                    .try_for_each(|(more, to)| add::record(rec, more, to, Window::all(to), true))?;
                Ok(())
            }
            Call::Add { node: id, from, to } => {
                node(*id);
                add::record(rec, pass.at(*from), pass.at(*to), Window::all(pass.at(*to)), true)
            }
        }
    }

    /// Whether the products of the layer of this parameter read its input as bf16.
    pub fn reads_narrow(&self, pass: &Pass, param: &str) -> bool {
        let owns = |node: &Node| node.params.iter().any(|&id| self.params[id].name == param);
        (0..self.nodes.len()).filter(|&id| owns(&self.nodes[id])).any(|id| pass.reads_narrow(id))
    }
}
