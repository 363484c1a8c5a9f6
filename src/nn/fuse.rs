//! ReLUs that the layer before them takes over: a rewrite of the model before anything is scheduled.
//!
//! Where the value between the two has one reader, the layer writes the rectified value at once. The gradient of that value
//! becomes 0 where it is not positive: in the layer's own backward pass, in all of those who write the gradient if all can,
//! or else in a pass over it.

use super::layer::Rectifies;
use super::model::{Model, NodeId, ValueId};

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
    model.nodes.remove(relu);
    for value in &mut model.values {
        value.producer = value.producer.filter(|&id| id != relu).map(|id| id - usize::from(id > relu));
    }
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
