//! Which channels of a network hang together, and the network without some of them.
//!
//! What is one channel follows from how layers pass channels on ([`Passing`]): a sum makes one of its inputs' channels, a
//! convolution begins new ones. It is the dependency graph of Fang et al. 2023, "DepGraph: Towards Any Structural
//! Pruning", by channel in place of by layer, so that `concat` and `slice` need no cases of their own.
//! Outputs of the network, samples, and what passes a layer that mixes channels are never removed.

use std::collections::BTreeSet;

use super::model::{Model, ValueId};
use crate::param::{Axes, ChannelId, Channels, ParamId, Width};
use crate::recipe::Network;

/// How channels pass through a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passing {
    /// Each channel of its output depends on several of its inputs': none can go alone.
    Mixed,
    /// Each channel by itself, of all inputs; its parameters have one number a channel.
    Alone,
    /// By channel of the output, the number of the input and the channel of it that stands there; `None`: zeros.
    Moved(Vec<Option<(usize, usize)>>),
    /// Rows of its weight are channels of its output. Columns are `taps` times the channels of a group, or of one tap
    /// `sites` numbers of each channel. Its bias has one number a row.
    Weighed { groups: usize, taps: usize, sites: usize },
}

/// The channels of a model that can be removed, and where they are.
pub struct Coupling {
    pub channels: Channels,
    /// By value and channel of it.
    values: Vec<Vec<Option<ChannelId>>>,
}

/// How many channels are left.
pub(super) fn left(channels: &[bool]) -> usize {
    channels.iter().filter(|left| **left).count()
}

/// Sets that are joined; what is pinned stays.
struct Sets {
    parent: Vec<usize>,
    pinned: Vec<bool>,
}

impl Sets {
    fn new(len: usize) -> Self {
        Self { parent: (0..len).collect(), pinned: vec![false; len] }
    }
    fn root(&mut self, mut one: usize) -> usize {
        while self.parent[one] != one {
            self.parent[one] = self.parent[self.parent[one]];
            one = self.parent[one];
        }
        one
    }
    fn join(&mut self, a: usize, b: usize) {
        let [a, b] = [self.root(a), self.root(b)];
        let (first, other) = (a.min(b), a.max(b));
        self.parent[other] = first;
        self.pinned[first] |= self.pinned[other];
    }
    fn pin(&mut self, one: usize) {
        let root = self.root(one);
        self.pinned[root] = true;
    }
    fn is_pinned(&mut self, one: usize) -> bool {
        let root = self.root(one);
        self.pinned[root]
    }
}

/// Numbers of channels of values and of rows of parameters, while sets are joined.
struct Analysis<'a> {
    model: &'a Model,
    sets: Sets,
    /// The first number of each value.
    values: Vec<usize>,
    /// The first number of each parameter.
    rows: Vec<usize>,
    /// By parameter, the number of the channel of each column, and the groups that they are of.
    columns: Vec<Option<(Vec<usize>, usize)>>,
    scales: Vec<ParamId>,
}

impl Model {
    /// Which channels hang together.
    pub fn coupling(&self) -> Coupling {
        let mut next = 0;
        let mut first = |len: usize| {
            next += len;
            next - len
        };
        let values = self.values.iter().map(|value| first(value.extent.channels)).collect();
        let rows = self.params.iter().map(|param| first(param.matrix().rows)).collect();
        let columns = vec![None; self.params.len()];
        let sets = Sets::new(next);
        let mut analysis = Analysis { model: self, sets, values, rows, columns, scales: Vec::new() };
        [0].into_iter().chain(self.plain).for_each(|batch| analysis.pin(batch));
        self.heads.iter().for_each(|head| analysis.pin(head.value));
        (0..self.nodes.len()).for_each(|node| analysis.pass(node));
        // A weight that a layer which mixes channels shares, such as an embedding's with the head, keeps its columns, too.
        for node in self.nodes.iter().filter(|node| node.layer.passing() == Passing::Mixed) {
            for param in &node.params {
                let columns = analysis.columns[param.0].as_ref().map(|(columns, _)| columns.clone());
                columns.into_iter().flatten().for_each(|one| analysis.sets.pin(one));
            }
        }
        analysis.coupling()
    }

    /// The network that this model was built from, without the channels that are not kept: widths, groups and slices
    /// that are left.
    pub fn without(&self, network: &Network, coupling: &Coupling, kept: &[bool]) -> Network {
        let left = |value: &ValueId| -> Vec<bool> {
            let is_left = |channel: &Option<ChannelId>| channel.is_none_or(|own| kept[own as usize]);
            coupling.values[*value].iter().map(is_left).collect()
        };
        let mut network = network.clone();
        for (index, layer) in network.layers.iter_mut().enumerate() {
            // What passes have taken out, ReLUs and flattened images, says nothing of channels.
            let Some(node) = self.nodes.iter().find(|node| node.name == layer.name_at(index)) else {
                continue;
            };
            let inputs: Vec<Vec<bool>> = node.inputs.iter().map(left).collect();
            for (key, value) in node.layer.narrowed(&inputs, &left(&node.output)) {
                layer.settings = layer.settings.with(key, toml::Value::Integer(value as i64));
            }
        }
        network
    }
}

impl Analysis<'_> {
    fn channels(&self, value: ValueId) -> std::ops::Range<usize> {
        self.values[value]..self.values[value] + self.model.values[value].extent.channels
    }
    fn pin(&mut self, value: ValueId) {
        self.channels(value).for_each(|channel| self.sets.pin(channel));
    }
    fn join_rows(&mut self, param: ParamId, output: ValueId) {
        let rows = self.rows[param.0];
        self.channels(output).enumerate().for_each(|(row, channel)| self.sets.join(rows + row, channel));
    }

    fn pass(&mut self, number: usize) {
        let node = &self.model.nodes[number];
        match node.layer.passing() {
            Passing::Mixed => {
                node.inputs.iter().for_each(|&input| self.pin(input));
                self.pin(node.output);
                for param in &node.params {
                    let first = self.rows[param.0];
                    let rows = first..first + self.model.params[*param].matrix().rows;
                    rows.for_each(|row| self.sets.pin(row));
                }
            }
            Passing::Alone => {
                for &input in &node.inputs {
                    let pairs = self.channels(input).zip(self.channels(node.output));
                    pairs.for_each(|(from, to)| self.sets.join(from, to));
                }
                node.params.iter().for_each(|&param| self.join_rows(param, node.output));
                let scale = node.params.first().filter(|&&param| self.model.params[param].learns());
                self.scales.extend(scale);
            }
            Passing::Moved(from) => {
                let (taken, all) = (from.iter().flatten().count(), node.inputs.iter());
                if taken < all.map(|&input| self.channels(input).len()).sum() {
                    // What takes some channels alone is left with one at least.
                    let first = from.iter().flatten().next();
                    first.iter().for_each(|from| self.sets.pin(self.values[node.inputs[from.0]] + from.1));
                }
                let all = self.channels(node.output).zip(from);
                for (to, from) in all.filter_map(|(to, from)| Some((to, from?))) {
                    self.sets.join(self.values[node.inputs[from.0]] + from.1, to);
                }
            }
            Passing::Weighed { groups, taps, sites } => self.weigh(number, groups, taps, sites),
        }
    }

    fn weigh(&mut self, number: usize, groups: usize, taps: usize, sites: usize) {
        let node = &self.model.nodes[number];
        let (input, output) = (self.channels(node.inputs[0]), self.channels(node.output));
        node.params.iter().for_each(|&param| self.join_rows(param, node.output));
        let (inputs, outputs) = (input.len() / groups, output.len() / groups);
        if groups > 1 {
            // All of a group goes, or nothing: what is left divides into groups again.
            for group in 0..groups {
                let first = input.start + group * inputs;
                (1..inputs).for_each(|i| self.sets.join(first, first + i));
                (0..outputs).for_each(|i| self.sets.join(first, output.start + group * outputs + i));
            }
        }
        let of_tap = |first: usize| (first..first + inputs).flat_map(move |one| vec![one; sites]);
        let of_group = |group: usize| {
            let first = input.start + group * inputs;
            (0..taps).flat_map(move |_| of_tap(first))
        };
        let columns: Vec<usize> = (0..groups).flat_map(of_group).collect();
        let weight = node.params[0];
        match &self.columns[weight.0] {
            // A weight of several layers: what they read is one.
            Some((others, _)) => {
                let pairs: Vec<(usize, usize)> = others.iter().copied().zip(columns).collect();
                pairs.into_iter().for_each(|(a, b)| self.sets.join(a, b));
            }
            None => self.columns[weight.0] = Some((columns, groups)),
        }
    }

    /// What computes only some channels of a width, such as a convolution whose output is padded and added to a wider one,
    /// keeps its first: of those that are left of the width none may be its own.
    fn pin_parts(&mut self, filters: &[ParamId]) {
        let mut widths = Sets::new(self.sets.parent.len());
        let mut parts: Vec<BTreeSet<usize>> = Vec::new();
        for id in filters {
            let first = self.rows[id.0];
            let rows = first..first + self.model.params[*id].matrix().rows;
            let roots: BTreeSet<usize> = rows.map(|row| self.sets.root(row)).collect();
            let open: BTreeSet<usize> =
                roots.iter().copied().filter(|&root| !self.sets.pinned[root]).collect();
            open.iter().zip(open.iter().skip(1)).for_each(|(&a, &b)| widths.join(a, b));
            // A filter that stays anyway is enough.
            if open.len() == roots.len() {
                parts.push(open);
            }
        }
        for roots in parts {
            let Some(&first) = roots.first() else { continue };
            let width = widths.root(first);
            let mut others = (0..self.sets.parent.len()).filter(|one| !roots.contains(one));
            if others.any(|one| widths.root(one) == width) {
                self.sets.pin(first);
            }
        }
    }

    fn coupling(mut self) -> Coupling {
        let params = &self.model.params;
        let mut widths = Sets::new(self.sets.parent.len());
        let filters: Vec<ParamId> = params.ids().filter(|&id| params[id].prunable).collect();
        self.pin_parts(&filters);
        let mut open: Vec<Vec<usize>> = Vec::new();
        for id in &filters {
            let rows = self.rows[id.0]..self.rows[id.0] + params[*id].matrix().rows;
            let mut roots: Vec<usize> = rows.map(|row| self.sets.root(row)).collect();
            roots.retain(|&root| !self.sets.is_pinned(root));
            roots.windows(2).for_each(|pair| widths.join(pair[0], pair[1]));
            open.push(roots);
        }
        // In the order in which filters are declared.
        let mut order: Vec<(usize, Vec<usize>)> = Vec::new();
        for root in open.iter().flatten() {
            let width = widths.root(*root);
            match order.iter_mut().find(|(own, _)| *own == width) {
                Some((_, members)) if members.contains(root) => {}
                Some((_, members)) => members.push(*root),
                None => order.push((width, vec![*root])),
            }
        }
        let mut number: Vec<Option<ChannelId>> = vec![None; self.sets.parent.len()];
        (0..)
            .zip(order.iter().flat_map(|(_, members)| members))
            .for_each(|(id, &root)| number[root] = Some(id));
        let of = |sets: &mut Sets, one: usize| number[sets.root(one)];
        let sets = &mut self.sets;
        let mut first = 0;
        let mut made = Vec::new();
        for (width, members) in &order {
            let has = |roots: &Vec<usize>| roots.first().is_some_and(|&root| members.contains(&root));
            let own = filters.iter().zip(&open).filter(|(_, roots)| has(roots)).map(|(id, _)| *id).collect();
            let scaled = |id: &&ParamId| {
                let first = self.rows[id.0];
                (first..first + params[**id].matrix().rows).any(|row| {
                    let root = sets.root(row);
                    number[root].is_some() && widths.root(root) == *width
                })
            };
            let scales = self.scales.iter().filter(scaled).copied().collect();
            let channels = first..first + members.len() as ChannelId;
            first = channels.end;
            made.push(Width { channels, filters: own, scales });
        }
        let axes = |id: ParamId| {
            let matrix = params[id].matrix();
            let rows = (0..matrix.rows).map(|row| of(sets, self.rows[id.0] + row)).collect();
            match self.columns[id.0].take() {
                Some((columns, groups)) => {
                    let columns = columns.into_iter().map(|one| of(sets, one)).collect();
                    Axes { rows, columns, groups }
                }
                None => Axes { rows, ..Axes::whole(matrix.rows, matrix.inner()) },
            }
        };
        let axes = params.ids().map(axes).collect();
        let extents = self.values.iter().zip(&self.model.values);
        let values = extents
            .map(|(first, value)| {
                (0..value.extent.channels).map(|channel| number[self.sets.root(first + channel)]).collect()
            })
            .collect();
        Coupling { channels: Channels { count: first as usize, widths: made, axes }, values }
    }
}

#[cfg(test)]
#[path = "coupling_tests.rs"]
mod tests;
