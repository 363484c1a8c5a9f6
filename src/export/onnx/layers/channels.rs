//! Layers that move, scale or pool channels.

use super::super::builder::{Builder, int, int_list, text};
use super::super::network::{Layer, channel_axis};
use crate::error::Result;

pub fn add(to: &mut Builder, layer: &Layer) -> Result<String> {
    let (first, rest) = layer.inputs.split_first().expect("a sum has inputs");
    Ok(rest.iter().fold(first.name.clone(), |sum, next| to.node("Add", &[&sum, &next.name], vec![])))
}

pub fn multiply(to: &mut Builder, layer: &Layer) -> Result<String> {
    Ok(to.node("Mul", &[layer.x(), &layer.inputs[1].name], vec![]))
}

/// In evaluations nothing is dropped.
pub fn dropout(_: &mut Builder, layer: &Layer) -> Result<String> {
    Ok(layer.x().to_string())
}

pub fn concat(to: &mut Builder, layer: &Layer) -> Result<String> {
    let inputs: Vec<&str> = layer.inputs.iter().map(|value| value.name.as_str()).collect();
    Ok(to.node("Concat", &inputs, vec![int("axis", channel_axis(layer.extent()))]))
}

pub fn slice(to: &mut Builder, layer: &Layer) -> Result<String> {
    let span = layer.number("first")?..layer.number("end")?;
    Ok(slice_of(to, layer.x(), channel_axis(layer.extent()), span))
}

/// Part of a value along an axis.
pub fn slice_of(to: &mut Builder, x: &str, axis: i64, span: std::ops::Range<usize>) -> String {
    let [starts, ends, axes] = [("starts", span.start as i64), ("ends", span.end as i64), ("axes", axis)]
        .map(|(what, value)| to.ints(what, &[value]));
    to.node("Slice", &[x, &starts, &ends, &axes], vec![])
}

pub fn pad_channels(to: &mut Builder, layer: &Layer) -> Result<String> {
    let (rank, axis) = (layer.extent().sites.len() + 2, channel_axis(layer.extent()) as usize);
    let mut pads = vec![0; 2 * rank];
    (pads[axis], pads[rank + axis]) = (layer.number("before")? as i64, layer.number("after")? as i64);
    let pads = to.ints("pads", &pads);
    Ok(to.node("Pad", &[layer.x(), &pads], vec![]))
}

/// One gate a channel, at every site.
pub fn scale(to: &mut Builder, layer: &Layer) -> Result<String> {
    let sites: &[i64] = match layer.extent().sites.len() {
        0 => &[],
        1 => &[1],
        _ => &[2, 3],
    };
    let mut gate = layer.inputs[1].name.clone();
    if !sites.is_empty() {
        let axes = to.ints("axes", sites);
        gate = to.node("Unsqueeze", &[&gate, &axes], vec![]);
    }
    Ok(to.node("Mul", &[layer.x(), &gate], vec![]))
}

/// The numbers of a channel side by side.
pub fn flatten(to: &mut Builder, layer: &Layer) -> Result<String> {
    Ok(flat(to, layer))
}

/// A value as plain features.
pub fn flat(to: &mut Builder, layer: &Layer) -> String {
    let mut x = layer.x().to_string();
    if layer.extent().is_sequence() {
        x = to.node("Transpose", &[&x], vec![int_list("perm", &[0, 2, 1])]);
    }
    to.node("Flatten", &[&x], vec![int("axis", 1)])
}

pub fn max_pool(to: &mut Builder, layer: &Layer) -> Result<String> {
    pool(to, layer, "MaxPool")
}

/// Zeros around the image count.
pub fn average_pool(to: &mut Builder, layer: &Layer) -> Result<String> {
    pool(to, layer, "AveragePool")
}

fn pool(to: &mut Builder, layer: &Layer, op: &str) -> Result<String> {
    let [kernel, stride, padding] =
        [layer.number("kernel")?, layer.number("stride")?, layer.number("padding")?].map(|n| n as i64);
    let stride = if stride == 0 { kernel } else { stride };
    let mut window = vec![
        int_list("kernel_shape", &[kernel; 2]),
        int_list("strides", &[stride; 2]),
        int_list("pads", &[padding; 4]),
    ];
    window.extend((op == "AveragePool").then(|| int("count_include_pad", 1)));
    Ok(to.node(op, &[layer.x()], window))
}

pub fn global_average_pool(to: &mut Builder, layer: &Layer) -> Result<String> {
    if layer.extent().is_sequence() {
        return Ok(to.node("ReduceMean", &[layer.x()], vec![int_list("axes", &[1]), int("keepdims", 0)]));
    }
    let mean = to.node("GlobalAveragePool", &[layer.x()], vec![]);
    Ok(to.node("Flatten", &[&mean], vec![int("axis", 1)]))
}

/// Linear interpolation, as PyTorch's `interpolate` without `align_corners`.
pub fn resize(to: &mut Builder, layer: &Layer) -> Result<String> {
    let shape =
        to.shape_of_batch(layer.x(), &[layer.output.channels, layer.output.sites[0], layer.output.sites[1]]);
    let settings = vec![text("mode", "linear"), text("coordinate_transformation_mode", "half_pixel")];
    Ok(to.node("Resize", &[layer.x(), "", "", &shape], settings))
}
