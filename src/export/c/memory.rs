//! Where the values of a network lie in C: in `x`, in `y`, or in static memory that they share as their lives allow.
//!
//! A value that is another one seen otherwise (`flatten`, `dropout`) has that one's place. A layer that works number by
//! number writes over its input where nothing reads that later.

use std::collections::BTreeMap;

use super::layers;
use super::network::{Network, ValueId};
use crate::gpu::Dtype;
use crate::nn::{Item, Key, Life, place};

pub struct Memory {
    /// By value, the first value in its place.
    root: Vec<ValueId>,
    /// By root, the float that it begins with. The sample and the answer are the caller's.
    pub offsets: BTreeMap<ValueId, usize>,
    pub floats: usize,
}

impl Memory {
    /// `copies` says that the sample is copied before it is read.
    pub fn new(network: &Network, copies: bool) -> Self {
        let reads = last_reads(network);
        let mut root: Vec<ValueId> = (0..network.extents.len()).collect();
        // By root: the calls that write it first and touch it last. Call 0 copies the sample.
        let mut lives: BTreeMap<ValueId, [usize; 2]> = BTreeMap::new();
        if copies {
            lives.insert(0, [0, reads[0]]);
        }
        for (call, layer) in (1..).zip(&network.layers) {
            let (output, of) = (layer.output, root[layer.inputs[0]]);
            let others = &layer.inputs[1..];
            // The sample itself is the caller's.
            let over = (copies || of != 0)
                && layers::writes_over(&layer.kind)
                && lives.get(&of).is_some_and(|life| life[1] == call)
                && others.iter().all(|&other| root[other] != of);
            if over || layers::is_view(&layer.kind) {
                root[output] = of;
            }
            let life = lives.entry(root[output]).or_insert([call, call]);
            life[1] = life[1].max(reads[output]);
        }
        if !copies {
            lives.remove(&0);
        }
        lives.remove(&root[network.answer]);
        let numbers = |value: ValueId| network.extents[value].numbers();
        let all: Vec<Life> = lives
            .iter()
            .map(|(&value, &[first, last])| {
                let key = Key { item: Item::Value(value), narrow: false };
                Life { key, root: key, shape: vec![numbers(value)], dtype: Dtype::F32, first, last }
            })
            .collect();
        let placement = place(&all);
        let sizes: Vec<usize> = placement.buffers.iter().map(|room| room.bytes as usize / 4).collect();
        let start = |buffer: usize| sizes[..buffer].iter().sum();
        let offsets =
            lives.keys().zip(&placement.buffer).map(|(&value, &buffer)| (value, start(buffer))).collect();
        Self { root, offsets, floats: sizes.iter().sum() }
    }

    /// The first value in the place of a value.
    pub fn root(&self, value: ValueId) -> ValueId {
        self.root[value]
    }
}

/// By value, the last call that reads it or, seen otherwise, its numbers; behind all calls for the answer.
fn last_reads(network: &Network) -> Vec<usize> {
    let mut reads = vec![0; network.extents.len()];
    reads[network.answer] = network.layers.len() + 1;
    for (index, layer) in network.layers.iter().enumerate().rev() {
        let call = index + 1;
        let last = if layers::is_view(&layer.kind) { reads[layer.output].max(call) } else { call };
        layer.inputs.iter().for_each(|&input| reads[input] = reads[input].max(last));
    }
    reads
}

#[cfg(test)]
mod tests {
    use super::super::network::Layer;
    use super::*;
    use crate::nn::Extent;
    use crate::recipe::Settings;

    fn network(layers: &[(&str, &[ValueId], usize)]) -> Network {
        let layer = |(index, &(kind, inputs, _)): (usize, &(&str, &[ValueId], usize))| Layer {
            owner: String::new(),
            name: format!("l{index}"),
            kind: kind.into(),
            settings: Settings::default(),
            inputs: inputs.to_vec(),
            output: index + 1,
        };
        let extents =
            [4].into_iter().chain(layers.iter().map(|layer| layer.2)).map(Extent::features).collect();
        Network { layers: layers.iter().enumerate().map(layer).collect(), extents, answer: layers.len() }
    }

    #[test]
    fn a_chain_takes_two_places_and_activations_none() {
        let chain = network(&[
            ("linear", &[0], 8),
            ("relu", &[1], 8),
            ("linear", &[2], 6),
            ("relu", &[3], 6),
            ("linear", &[4], 7),
            ("dropout", &[5], 7),
            ("linear", &[6], 3),
        ]);
        let memory = Memory::new(&chain, false);
        assert_eq!((memory.root(2), memory.root(4), memory.root(6)), (1, 3, 5));
        // 1 and 5 never meet; 7 is the caller's.
        assert_eq!(memory.offsets, BTreeMap::from([(1, 0), (3, 8), (5, 0)]));
        assert_eq!(memory.floats, 14);
        assert_eq!(Memory::new(&chain, true).offsets[&0], 8, "the sample takes the place of 3");
    }

    #[test]
    fn what_is_read_later_is_not_written_over() {
        // The sum reads what the ReLU read, and the flattened value is that, too.
        let branch = network(&[
            ("linear", &[0], 4),
            ("flatten", &[1], 4),
            ("relu", &[1], 4),
            ("add", &[3, 2], 4),
            ("linear", &[4], 2),
        ]);
        let memory = Memory::new(&branch, false);
        assert_eq!([1, 2, 3, 4].map(|value| memory.root(value)), [1, 1, 3, 3]);
        assert_ne!(memory.offsets[&1], memory.offsets[&3]);
        // The sample is the caller's, and never written.
        let own = network(&[("relu", &[0], 4), ("add", &[1, 1, 1], 4), ("linear", &[2], 2)]);
        let memory = Memory::new(&own, false);
        assert_eq!([1, 2].map(|value| memory.root(value)), [1, 2]);
    }
}
