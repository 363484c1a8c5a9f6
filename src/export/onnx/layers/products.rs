//! Linear layers, convolutions and normalisations: layers with weights of their own.

use super::super::builder::{Builder, float, int, int_list};
use super::super::network::{Layer, Weight};
use super::channels::flat;
use crate::error::Result;
use crate::nn::Extent;

/// The initializer of a weight, or "" where the layer has none of this word.
fn own(to: &mut Builder, layer: &Layer, word: &str) -> Result<String> {
    layer.weight(word).map_or(Ok(String::new()), |weight| to.weight(&weight.name))
}

/// The weight and the bias of a product, whatever the layer is called that they belong to; "" for no bias.
fn weight_and_bias(to: &mut Builder, weights: &[Weight]) -> Result<[String; 2]> {
    let bias = weights.get(1).map_or(Ok(String::new()), |bias| to.weight(&bias.name))?;
    Ok([to.weight(&weights[0].name)?, bias])
}

/// Inputs without what is left out at their end.
fn given<'a>(inputs: &[&'a str]) -> Vec<&'a str> {
    let len = inputs.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1);
    inputs[..len].to_vec()
}

pub fn linear(to: &mut Builder, layer: &Layer) -> Result<String> {
    let [weight, bias] = &weight_and_bias(to, &layer.weights)?;
    if layer.extent().is_sequence() {
        return Ok(by_step(to, layer.x(), weight, bias));
    }
    let x = if layer.extent().sites.is_empty() { layer.x().to_string() } else { flat(to, layer) };
    Ok(to.node("Gemm", &given(&[&x, weight, bias]), vec![int("transB", 1)]))
}

/// The product with each step of a sequence; the weight stays as it is, (out, in).
fn by_step(to: &mut Builder, x: &str, weight: &str, bias: &str) -> String {
    let turned = to.node("Transpose", &[weight], vec![int_list("perm", &[1, 0])]);
    let y = to.node("MatMul", &[x, &turned], vec![]);
    if bias.is_empty() { y } else { to.node("Add", &[&y, bias], vec![]) }
}

pub fn conv2d(to: &mut Builder, layer: &Layer) -> Result<String> {
    let [kernel, stride, padding, dilation, groups] =
        ["kernel", "stride", "padding", "dilation", "groups"].map(|key| layer.number(key).map(|n| n as i64));
    let window = vec![
        int_list("kernel_shape", &[kernel?; 2]),
        int_list("strides", &[stride?; 2]),
        int_list("pads", &[padding?; 4]),
        int_list("dilations", &[dilation?; 2]),
        int("group", groups?),
    ];
    let [weight, bias] = &weight_and_bias(to, &layer.weights)?;
    Ok(to.node("Conv", &given(&[layer.x(), weight, bias]), window))
}

/// By the running statistics, as evaluations do.
pub fn batch_norm(to: &mut Builder, layer: &Layer) -> Result<String> {
    let channels = layer.extent().channels;
    let mut scale = |word: &str, value: f32| match layer.weight(word) {
        Some(weight) => to.weight(&weight.name),
        None => Ok(to.floats(word, &[channels], &vec![value; channels])),
    };
    let (weight, bias) = (scale("weight", 1.0)?, scale("bias", 0.0)?);
    let [mean, variance] = &[own(to, layer, "running_mean")?, own(to, layer, "running_var")?];
    let epsilon = vec![float("epsilon", layer.settings.f32("epsilon")?)];
    // The operator has channels on axis 1.
    let turn = |to: &mut Builder, x: &str| to.node("Transpose", &[x], vec![int_list("perm", &[0, 2, 1])]);
    let is_sequence = layer.extent().is_sequence();
    let x = if is_sequence { turn(to, layer.x()) } else { layer.x().to_string() };
    let y = to.node("BatchNormalization", &[&x, &weight, &bias, mean, variance], epsilon);
    Ok(if is_sequence { turn(to, &y) } else { y })
}

pub fn layer_norm(to: &mut Builder, layer: &Layer) -> Result<String> {
    let [weight, bias] = &[own(to, layer, "weight")?, own(to, layer, "bias")?];
    let epsilon = layer.settings.f32("epsilon")?;
    Ok(channels_last(to, layer.x(), layer.extent(), |to, x| {
        let numbers = vec![int("axis", -1), float("epsilon", epsilon)];
        to.node("LayerNormalization", &given(&[x, weight, bias]), numbers)
    }))
}

/// `x / sqrt(mean(x^2) + epsilon) * weight`.
pub fn rms_norm(to: &mut Builder, layer: &Layer) -> Result<String> {
    let weight = &own(to, layer, "weight")?;
    let epsilon = &to.scalar("epsilon", layer.settings.f32("epsilon")?);
    Ok(channels_last(to, layer.x(), layer.extent(), |to, x| {
        let square = to.node("Mul", &[x, x], vec![]);
        let mean = to.node("ReduceMean", &[&square], vec![int_list("axes", &[-1]), int("keepdims", 1)]);
        let mean = to.node("Add", &[&mean, epsilon], vec![]);
        let root = to.node("Sqrt", &[&mean], vec![]);
        let normal = to.node("Div", &[x, &root], vec![]);
        to.node("Mul", &[&normal, weight], vec![])
    }))
}

/// What is computed with channels on the last axis, where images do not have them.
fn channels_last(
    to: &mut Builder,
    x: &str,
    extent: &Extent,
    of: impl FnOnce(&mut Builder, &str) -> String,
) -> String {
    if extent.sites.len() < 2 {
        return of(to, x);
    }
    let turned = to.node("Transpose", &[x], vec![int_list("perm", &[0, 2, 3, 1])]);
    let y = of(to, &turned);
    to.node("Transpose", &[&y], vec![int_list("perm", &[0, 3, 1, 2])])
}
