//! How far the input reaches: which channels of each value depend on it, by the weights that are kept.

use super::model::{Model, ValueId};
use crate::param::ParamId;

/// A place that the input does not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The layer.
    pub name: String,
    /// Whether its output is one of the network's.
    pub is_output: bool,
    /// Channels of its output that no path of kept weights leads to.
    pub dead: usize,
    pub channels: usize,
}

impl Cut {
    pub fn is_whole(&self) -> bool {
        self.dead == self.channels
    }
}

/// The mask of a parameter, one bit a weight; `None` where all are kept.
pub type MaskOf<'a> = dyn Fn(ParamId) -> Option<&'a [u32]> + 'a;

impl Model {
    /// Layers with weights of their own that end every path, and outputs of the network with channels that no path leads
    /// to. A layer after one that ends them all is not named again, unless it is an output.
    pub fn cuts(&self, mask_of: &MaskOf) -> Vec<Cut> {
        let mut reached: Vec<Vec<bool>> = vec![Vec::new(); self.values.len()];
        for value in [0].into_iter().chain(self.plain) {
            reached[value] = vec![true; self.values[value].extent.channels];
        }
        let mut cuts = Vec::new();
        for node in &self.nodes {
            let inputs: Vec<&[bool]> = node.inputs.iter().map(|&input| &reached[input][..]).collect();
            let masks: Vec<_> = node.params.iter().map(|&id| mask_of(id)).collect();
            let own = node.layer.reach(&inputs, &masks, self.values[node.output].extent.channels);
            let dead = own.iter().filter(|reached| !**reached).count();
            let cut = Cut { name: node.name.clone(), is_output: false, dead, channels: own.len() };
            let comes_in = inputs.iter().any(|input| input.contains(&true));
            if self.is_head(node.output) {
                cuts.extend((dead > 0).then_some(Cut { is_output: true, ..cut }));
            } else if cut.is_whole() && comes_in && !node.params.is_empty() {
                cuts.push(cut);
            }
            reached[node.output] = own;
        }
        cuts
    }

    fn is_head(&self, value: ValueId) -> bool {
        self.heads.iter().any(|head| head.value == value)
    }
}

/// The outputs of a weight (outputs, taps, inputs of a group), one bit a weight, that a reached input leads to.
pub fn through(
    inputs: &[bool],
    [taps, groups]: [usize; 2],
    mask: Option<&[u32]>,
    outputs: usize,
) -> Vec<bool> {
    let channels = inputs.len() / groups;
    let kept = |i: usize| mask.is_none_or(|mask| mask[i / 32] >> (i % 32) & 1 == 1);
    let is_reached = |row: usize| {
        let own = &inputs[row * groups / outputs * channels..][..channels];
        (0..taps * channels).any(|i| own[i % channels] && kept(row * taps * channels + i))
    };
    (0..outputs).map(is_reached).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Extent, Graph};
    use super::*;
    use crate::param::mask_of;
    use crate::recipe;

    /// A weight of two layers in a row, the second beside a way around it; two outputs.
    fn model() -> Model {
        let mut net = Graph::new();
        let x = net.data();
        let first = net.linear("first", x, 2);
        let first = net.relu("act", first);
        let second = net.linear("second", first, 2);
        let sum = net.add("sum", &[first, second]);
        let both = net.concat("both", &[sum, second]);
        let some = net.slice("some", both, 2..4);
        let head = net.linear("head", sum, 3);
        let side = net.linear("side", some, 3);
        net.output(head, 1.0);
        net.output(side, 0.5);
        Model::new(&recipe::Model::from(net), Extent::features(2), 3, 0).unwrap()
    }

    /// By weight, the indices that are kept, where not all are.
    fn cuts(kept: &[(&str, &[u32])]) -> Vec<(String, bool, usize)> {
        let model = model();
        let masks: Vec<Option<Vec<u32>>> = (model.params.iter())
            .map(|param| {
                let own = kept.iter().find(|(name, _)| *name == param.name);
                own.map(|(_, indices)| mask_of(indices, param.len()))
            })
            .collect();
        let found = model.cuts(&|id| masks[id.0].as_deref());
        found.into_iter().map(|cut| (cut.name, cut.is_output, cut.dead)).collect()
    }

    #[test]
    fn paths_are_followed_not_counts() {
        let of = |name: &str, is_output, dead| (name.to_string(), is_output, dead);
        assert_eq!(cuts(&[]), []);
        // Half of the weights of each, and no way through: first makes unit 0, second reads unit 1.
        let halves: &[(&str, &[u32])] = &[("first.weight", &[0, 1]), ("second.weight", &[1, 3])];
        assert_eq!(cuts(halves), [of("second", false, 2), of("side", true, 3)]);
        // The way around second goes on to the head, but for the outputs that read unit 1 alone.
        let more = [halves, &[("head.weight", &[0, 1, 3])]].concat();
        assert_eq!(cuts(&more), [of("second", false, 2), of("head", true, 2), of("side", true, 3)]);
        // Whatever comes after the first cut is its consequence.
        let none: &[(&str, &[u32])] = &[("first.weight", &[])];
        assert_eq!(cuts(none), [of("first", false, 2), of("head", true, 3), of("side", true, 3)]);
        assert_eq!(cuts(&[("side.weight", &[0, 2])]), [of("side", true, 1)]);
    }
}
