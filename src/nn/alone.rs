//! Layers of a forward pass one at a time: what is timed by itself.

use super::extent::Extent;
use super::model::{Model, NodeId};
use super::pass::Pass;
use super::schedule::Call;
use crate::error::{Error, Result};
use crate::gpu::{Phase, Recorder, Uniform};
use crate::ops::variants::Choices;

/// A layer with the extents that it computes between.
pub struct Alone<'a> {
    pub name: &'a str,
    /// Of one sample.
    pub inputs: Vec<&'a Extent>,
    pub output: &'a Extent,
    node: NodeId,
}

impl Model {
    /// The layers in the order of computation. One that another layer has taken over, as it may a ReLU, is none.
    pub fn layers(&self) -> impl Iterator<Item = Alone<'_>> {
        self.nodes.iter().enumerate().map(|(id, node)| {
            let extent = |value: usize| &self.values[value].extent;
            let inputs = node.inputs.iter().map(|&value| extent(value)).collect();
            Alone { name: &node.name, inputs, output: extent(node.output), node: id }
        })
    }

    /// Records one layer of a forward pass, which reads and writes what it does within the whole.
    ///
    /// # Errors
    /// `Kind::Internal` where the pass is of another model.
    pub fn record_alone(
        &self,
        rec: &mut Recorder,
        choices: &Choices,
        step: &Uniform,
        pass: &Pass,
        layer: &Alone,
    ) -> Result<()> {
        rec.phase(Phase::Forward);
        let is_it = |call: &&Call| matches!(call, Call::Forward { node, .. } if *node == layer.node);
        let call = pass.schedule.calls.iter().find(is_it);
        let call = call.ok_or_else(|| Error::internal(format!("no pass has `{}`", layer.name)))?;
        self.call(rec, choices, step, pass, call)
    }
}
