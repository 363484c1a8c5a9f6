//! Layers of tokens and sequences: (batch, steps, channels).

use super::super::builder::{Builder, int, int_list};
use super::super::network::Layer;
use super::super::proto::INT64;
use super::channels::slice_of;
use crate::error::Result;

/// The rows of a table.
pub fn embedding(to: &mut Builder, layer: &Layer) -> Result<String> {
    let table = to.weight(&layer.weights[0].name)?;
    Ok(to.node("Gather", &[&table, layer.x()], vec![int("axis", 0)]))
}

/// The channels of a step are (channel, row, column) of a patch.
pub fn patches(to: &mut Builder, layer: &Layer) -> Result<String> {
    let (extent, size) = (layer.extent(), layer.number("size")?);
    let [rows, columns] = [extent.sites[0] / size, extent.sites[1] / size];
    let cut = to.reshape(layer.x(), &[extent.channels, rows, size, columns, size]);
    let turned = to.node("Transpose", &[&cut], vec![int_list("perm", &[0, 2, 4, 1, 3, 5])]);
    Ok(to.reshape(&turned, &[rows * columns, layer.output.channels]))
}

pub fn positions(to: &mut Builder, layer: &Layer) -> Result<String> {
    let (channels, steps) = (layer.extent().channels, layer.extent().sites[0]);
    let table = match layer.weights.first() {
        Some(table) => to.weight(&table.name)?,
        None => to.floats("table", &[steps, channels], &sinusoidal(channels, steps)),
    };
    Ok(to.node("Add", &[layer.x(), &table], vec![]))
}

/// (steps, channels): sines in even channels, cosines in odd ones, of step / 10000^(2 i / channels) for pair `i` (Vaswani et
/// al. 2017).
fn sinusoidal(channels: usize, steps: usize) -> Vec<f32> {
    let of = |step: usize, channel: usize| {
        let angle = step as f64 / 10_000f64.powf((channel / 2 * 2) as f64 / channels as f64);
        (if channel.is_multiple_of(2) { angle.sin() } else { angle.cos() }) as f32
    };
    (0..steps).flat_map(|step| (0..channels).map(move |channel| of(step, channel))).collect()
}

/// Channel `i` of the first half of a head and of the second half are turned together (Su et al. 2021).
pub fn rotary(to: &mut Builder, layer: &Layer) -> Result<String> {
    let (channels, steps) = (layer.extent().channels, layer.extent().sites[0]);
    let (parts, of_them) = match layer.settings.text("of")? {
        "qkv" => (3, 2),
        "kv" => (2, 1),
        _ => (1, 1),
    };
    let (part, turned) = (channels / parts, channels / parts * of_them);
    let head = part / layer.number("heads")?;
    let (half, base) = (head / 2, layer.settings.f64("base")?);
    let angles = |of: fn(f64) -> f64| -> Vec<f32> {
        let angle = |step: usize, pair: usize| step as f64 * base.powf(-2.0 * pair as f64 / head as f64);
        (0..steps).flat_map(|step| (0..half).map(move |pair| of(angle(step, pair)) as f32)).collect()
    };
    let shape = [steps, 1, half];
    let [cos, sin] = [("cos", f64::cos as fn(f64) -> f64), ("sin", f64::sin)]
        .map(|(what, of)| to.floats(what, &shape, &angles(of)));
    let own = if turned < channels { slice_of(to, layer.x(), 2, 0..turned) } else { layer.x().to_string() };
    let heads = to.reshape(&own, &[steps, turned / head, head]);
    let [a, b] = &[0..half, half..head].map(|span| slice_of(to, &heads, 3, span));
    let mut by = |value: &str, factor: &str| to.node("Mul", &[value, factor], vec![]);
    let (a_cos, b_sin, b_cos, a_sin) = (by(a, &cos), by(b, &sin), by(b, &cos), by(a, &sin));
    let first = to.node("Sub", &[&a_cos, &b_sin], vec![]);
    let second = to.node("Add", &[&b_cos, &a_sin], vec![]);
    let both = to.node("Concat", &[&first, &second], vec![int("axis", 3)]);
    let y = to.reshape(&both, &[steps, turned]);
    if turned == channels {
        return Ok(y);
    }
    let rest = slice_of(to, layer.x(), 2, turned..channels);
    Ok(to.node("Concat", &[&y, &rest], vec![int("axis", 2)]))
}

/// The same numbers before the steps of every sample.
pub fn class_token(to: &mut Builder, layer: &Layer) -> Result<String> {
    let token = to.weight(&layer.weights[0].name)?;
    let shape = to.shape_of_batch(layer.x(), &[1, layer.extent().channels]);
    let tokens = to.node("Expand", &[&token, &shape], vec![]);
    Ok(to.node("Concat", &[&tokens, layer.x()], vec![int("axis", 1)]))
}

pub fn step(to: &mut Builder, layer: &Layer) -> Result<String> {
    let is_first = layer.settings.text("at")? == "first";
    let at = if is_first { 0 } else { layer.extent().sites[0] - 1 };
    let at = to.ints_of("at", &[], &[at as i64]);
    Ok(to.node("Gather", &[layer.x(), &at], vec![int("axis", 1)]))
}

pub fn steps(to: &mut Builder, layer: &Layer) -> Result<String> {
    let span = layer.number("first")?..layer.number("end")?;
    Ok(slice_of(to, layer.x(), 1, span))
}

/// (batch,): the number of the last step that is not padding, counted from 1; 0 where all are.
pub fn lengths(to: &mut Builder, layer: &Layer) -> Result<String> {
    let (first, end) = (layer.number("first")?, layer.number("end")?);
    let end = if end == 0 { layer.extent().sites[0] } else { end };
    let padding = to.ints_of("padding", &[], &[i64::from(layer.settings.u32("padding")?)]);
    let tokens = slice_of(to, layer.x(), 1, first..end);
    let is_padding = to.node("Equal", &[&tokens, &padding], vec![]);
    let is_there = to.node("Not", &[&is_padding], vec![]);
    let is_there = to.node("Cast", &[&is_there], vec![int("to", INT64.into())]);
    let numbers: Vec<i64> = (1..=(end - first) as i64).collect();
    let numbers = to.ints("numbers", &numbers);
    let there = to.node("Mul", &[&is_there, &numbers], vec![]);
    Ok(to.node("ReduceMax", &[&there], vec![int_list("axes", &[1]), int("keepdims", 0)]))
}

impl Builder<'_> {
    /// A value with another extent of a sample; the batch is as it was.
    pub fn reshape(&mut self, x: &str, sample: &[usize]) -> String {
        // 0 takes over what is there.
        let shape: Vec<i64> = std::iter::once(0).chain(sample.iter().map(|&extent| extent as i64)).collect();
        let shape = self.ints("shape", &shape);
        self.node("Reshape", &[x, &shape], vec![])
    }
    /// The shape (batch, sample..), where `x` has the batch on its first axis.
    pub fn shape_of_batch(&mut self, x: &str, sample: &[usize]) -> String {
        let batch = self.node("Shape", &[x], vec![int("start", 0), int("end", 1)]);
        let rest: Vec<i64> = sample.iter().map(|&extent| extent as i64).collect();
        let rest = self.ints("sample", &rest);
        self.node("Concat", &[&batch, &rest], vec![int("axis", 0)])
    }
}
