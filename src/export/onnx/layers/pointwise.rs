//! Activations: functions of one number.

use super::super::builder::{Builder, float};
use super::super::network::Layer;
use crate::error::Result;

/// ONNX has an operator of its own for it.
fn alone(to: &mut Builder, layer: &Layer, op: &str) -> Result<String> {
    Ok(to.node(op, &[layer.x()], vec![]))
}

pub fn relu(to: &mut Builder, layer: &Layer) -> Result<String> {
    alone(to, layer, "Relu")
}
pub fn hard_swish(to: &mut Builder, layer: &Layer) -> Result<String> {
    alone(to, layer, "HardSwish")
}
pub fn sigmoid(to: &mut Builder, layer: &Layer) -> Result<String> {
    alone(to, layer, "Sigmoid")
}
pub fn tanh(to: &mut Builder, layer: &Layer) -> Result<String> {
    alone(to, layer, "Tanh")
}
pub fn relu6(to: &mut Builder, layer: &Layer) -> Result<String> {
    let [least, most] = [("least", 0.0), ("most", 6.0)].map(|(what, value)| to.scalar(what, value));
    Ok(to.node("Clip", &[layer.x(), &least, &most], vec![]))
}
pub fn hard_sigmoid(to: &mut Builder, layer: &Layer) -> Result<String> {
    Ok(to.node("HardSigmoid", &[layer.x()], vec![float("alpha", 1.0 / 6.0), float("beta", 0.5)]))
}
pub fn leaky_relu(to: &mut Builder, layer: &Layer) -> Result<String> {
    Ok(to.node("LeakyRelu", &[layer.x()], vec![float("alpha", 0.01)]))
}
pub fn elu(to: &mut Builder, layer: &Layer) -> Result<String> {
    Ok(to.node("Elu", &[layer.x()], vec![float("alpha", 1.0)]))
}
/// Both numbers as Klambauer et al. 2017 derive them.
pub fn selu(to: &mut Builder, layer: &Layer) -> Result<String> {
    let numbers = vec![float("alpha", 1.673_263_2), float("gamma", 1.050_701)];
    Ok(to.node("Selu", &[layer.x()], numbers))
}
/// `x sigmoid(x)`.
pub fn silu(to: &mut Builder, layer: &Layer) -> Result<String> {
    let gate = to.node("Sigmoid", &[layer.x()], vec![]);
    Ok(to.node("Mul", &[layer.x(), &gate], vec![]))
}
/// `x (1 + erf(x / sqrt 2)) / 2`.
pub fn gelu(to: &mut Builder, layer: &Layer) -> Result<String> {
    let [root, one, half] = [("root", std::f32::consts::FRAC_1_SQRT_2), ("one", 1.0), ("half", 0.5)]
        .map(|(w, v)| to.scalar(w, v));
    let scaled = to.node("Mul", &[layer.x(), &root], vec![]);
    let bent = to.node("Erf", &[&scaled], vec![]);
    let raised = to.node("Add", &[&bent, &one], vec![]);
    let gated = to.node("Mul", &[layer.x(), &raised], vec![]);
    Ok(to.node("Mul", &[&gated, &half], vec![]))
}
/// `x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3))`, which is `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`.
pub fn gelu_tanh(to: &mut Builder, layer: &Layer) -> Result<String> {
    let [cube, one, root] =
        [("cube", 0.044_715), ("one", 1.0), ("root", 1.595_769)].map(|(w, v)| to.scalar(w, v));
    let square = to.node("Mul", &[layer.x(), layer.x()], vec![]);
    let square = to.node("Mul", &[&square, &cube], vec![]);
    let factor = to.node("Add", &[&square, &one], vec![]);
    let z = to.node("Mul", &[layer.x(), &factor], vec![]);
    let z = to.node("Mul", &[&z, &root], vec![]);
    let gate = to.node("Sigmoid", &[&z], vec![]);
    Ok(to.node("Mul", &[layer.x(), &gate], vec![]))
}
