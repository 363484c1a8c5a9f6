//! Rewrites of the model before anything is scheduled: layers that need no pass of their own go.
//!
//! A `flatten` goes where all who read it can read the image in its place, as linear layers can.
//!
//! A ReLU goes where the layer before it can take it over.
//! Where the value between the two has one reader, the layer writes the rectified value at once. The gradient of that value
//! becomes 0 where it is not positive: in the layer's own backward pass, in all of those who write the gradient if all can,
//! or else in a pass over it.

use super::layer::Rectifies;
use super::model::{Model, NodeId, ValueId};

/// Takes out every `flatten` whose readers can all read what it reads.
pub(super) fn flattens(model: &mut Model) {
    let mut id = 0;
    while id < model.nodes.len() {
        id += usize::from(!pass_by(model, id));
    }
}

fn pass_by(model: &mut Model, flatten: NodeId) -> bool {
    let (input, output) = (model.nodes[flatten].inputs[0], model.nodes[flatten].output);
    let is_head = model.heads.iter().any(|head| head.value == output);
    if !model.nodes[flatten].layer.is_flatten() || is_head {
        return false;
    }
    let image = model.values[input].extent.clone();
    for reader in model.readers(output).collect::<Vec<_>>() {
        let node = &mut model.nodes[reader];
        if node.layer.read_image(&image) {
            node.inputs.iter_mut().filter(|read| **read == output).for_each(|read| *read = input);
        }
    }
    let is_free = model.readers(output).next().is_none();
    if is_free {
        take_out(model, flatten);
        model.values[output].producer = None;
    }
    is_free
}

/// Takes out a node; those behind it move up.
fn take_out(model: &mut Model, node: NodeId) {
    model.nodes.remove(node);
    for value in &mut model.values {
        value.producer = value.producer.filter(|&id| id != node).map(|id| id - usize::from(id > node));
    }
}

/// Joins every ReLU with the layer before it where that can be.
pub(super) fn relus(model: &mut Model) {
    let mut id = 0;
    while id < model.nodes.len() {
        // What comes after moves up where a ReLU is taken out.
        id += usize::from(!absorb(model, id));
    }
}

/// Lets the layer before a ReLU write what that writes, and takes the ReLU out. Returns whether it did.
fn absorb(model: &mut Model, relu: NodeId) -> bool {
    let node = &model.nodes[relu];
    let Some(&input) = node.inputs.first().filter(|_| node.layer.is_relu()) else { return false };
    let (output, is_head) = (node.output, model.heads.iter().any(|head| head.value == input));
    let alone = !is_head && model.readers(input).count() == 1;
    let Some(before) = model.values[input].producer.filter(|_| alone) else { return false };
    let Some(rectifies) = model.nodes[before].layer.rectify_output() else { return false };
    model.nodes[before].output = output;
    take_out(model, relu);
    (model.values[input].producer, model.values[output].producer) = (None, Some(before));
    model.values[output].is_gated = rectifies == Rectifies::Before && !writers_rectify(model, output);
    true
}

/// Lets all who write the gradient of a rectified value rectify it, if all can.
fn writers_rectify(model: &mut Model, value: ValueId) -> bool {
    let readers: Vec<NodeId> = model.readers(value).collect();
    let is_head = model.heads.iter().any(|head| head.value == value);
    if is_head || !readers.iter().all(|&id| model.nodes[id].layer.can_rectify_input_grad()) {
        return false;
    }
    readers.into_iter().for_each(|id| model.nodes[id].layer.rectify_input_grad());
    true
}
