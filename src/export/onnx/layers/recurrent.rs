//! `lstm` and `gru` as ONNX's operators of these names, each with the linear layer before it.
//!
//! ONNX has the gates in another order than PyTorch: i, o, f, c for i, f, g, o, and z, r, h for r, z, n. Weights stay as
//! PyTorch has them; nodes put their gates in order, which a runtime does once, when it loads the file.
//!
//! Where a layer runs from the last step to the first, its steps are turned round before and behind it: some readers overlook
//! the attribute for that. States begin as 0, also where a layer has `carry`, unless the layer reads what they begin with.

use super::super::builder::{Builder, int, int_list};
use super::super::network::Layer;
use super::channels::slice_of;
use super::scan;
use crate::error::Result;

/// A kind of cell.
pub struct Kind {
    op: &'static str,
    /// Where each of the operator's gates is among PyTorch's.
    order: &'static [usize],
    /// h, and of an LSTM c.
    pub states: usize,
}

pub const LSTM: Kind = Kind { op: "LSTM", order: &[0, 3, 1, 2], states: 2 };
pub const GRU: Kind = Kind { op: "GRU", order: &[1, 0, 2], states: 1 };

pub fn lstm(to: &mut Builder, layer: &Layer) -> Result<String> {
    recurrent(to, layer, &LSTM)
}
pub fn gru(to: &mut Builder, layer: &Layer) -> Result<String> {
    recurrent(to, layer, &GRU)
}

impl Kind {
    pub fn gates(&self) -> usize {
        self.order.len()
    }
    /// The operator's gates of PyTorch's.
    fn ordered(&self, gates: &[String]) -> Vec<String> {
        self.order.iter().map(|&gate| gates[gate].clone()).collect()
    }
}

fn recurrent(to: &mut Builder, layer: &Layer, kind: &Kind) -> Result<String> {
    let Some(before) = &layer.projection else { return scan::recurrent(to, layer, kind) };
    let (units, gates) = (layer.output.channels, kind.gates());
    let of_x = to.weight(&before.weights[0].name)?;
    let of_x_bias = before.weights.get(1).map(|bias| to.weight(&bias.name)).transpose()?;
    let of_h = gates_of(to, layer, "weight", gates)?.unwrap_or_default();
    let of_h_bias = gates_of(to, layer, "bias", gates)?;
    let of_x = parts(to, &of_x, gates);
    let of_x_bias = of_x_bias.map(|bias| parts(to, &bias, gates));
    let [of_x, of_h] = [of_x, of_h].map(|gates| one_direction(to, &kind.ordered(&gates)));
    let bias = match (of_x_bias, of_h_bias) {
        (None, None) => String::new(),
        (of_x, of_h) => {
            let mut all = Vec::new();
            for bias in [of_x, of_h] {
                let gates =
                    bias.unwrap_or_else(|| vec![to.floats("no_bias", &[units], &vec![0.0; units]); gates]);
                all.extend(kind.ordered(&gates));
            }
            one_direction(to, &all)
        }
    };
    let x = in_time(to, layer, &before.x.name)?;
    let by_time = to.node("Transpose", &[&x], vec![int_list("perm", &[1, 0, 2])]);
    let mut inputs = vec![by_time, of_x, of_h, bias];
    if layer.inputs.len() > 1 {
        let states = begins(to, layer, kind)?;
        let axes = to.ints("axes", &[0]);
        inputs.push(String::new()); // all samples have all steps
        inputs.extend(states.iter().map(|state| to.node("Unsqueeze", &[state, &axes], vec![])));
    } else if inputs[3].is_empty() {
        inputs.pop();
    }
    let mut settings = vec![int("hidden_size", units as i64)];
    // The reset gate scales the product, bias included.
    settings.extend((kind.states == 1).then(|| int("linear_before_reset", 1)));
    let y = to.node(kind.op, &inputs.iter().map(String::as_str).collect::<Vec<_>>(), settings);
    let axes = to.ints("directions", &[1]);
    let y = to.node("Squeeze", &[&y, &axes], vec![]);
    let y = to.node("Transpose", &[&y], vec![int_list("perm", &[1, 0, 2])]);
    in_time(to, layer, &y)
}

/// A sequence in the order in which the layer goes through it, or back from that.
pub fn in_time(to: &mut Builder, layer: &Layer, x: &str) -> Result<String> {
    if !layer.settings.bool("reverse")? {
        return Ok(x.to_string());
    }
    let steps: Vec<i64> = (0..layer.extent().sites[0] as i64).rev().collect();
    let steps = to.ints("backwards", &steps);
    Ok(to.node("Gather", &[x, &steps], vec![int("axis", 1)]))
}

/// The rows of each gate.
fn parts(to: &mut Builder, weight: &str, gates: usize) -> Vec<String> {
    to.node_of("Split", &[weight], vec![int("axis", 0)], gates)
}

/// A weight of the layer by its gates, in PyTorch's order: of one tensor, or with `gates = "apart"` of several.
fn gates_of(to: &mut Builder, layer: &Layer, word: &str, gates: usize) -> Result<Option<Vec<String>>> {
    if let Some(whole) = layer.weight(word) {
        let whole = to.weight(&whole.name)?;
        return Ok(Some(parts(to, &whole, gates)));
    }
    let begin = format!("{word}_");
    let is_part = |name: &str| name.rsplit('.').next().is_some_and(|last| last.starts_with(&begin));
    let apart = layer.weights.iter().filter(|weight| is_part(&weight.name));
    let apart: Vec<String> = apart.map(|weight| to.weight(&weight.name)).collect::<Result<_>>()?;
    Ok((!apart.is_empty()).then_some(apart))
}

/// A weight of the layer, all gates in PyTorch's order one below another; `None` where the layer has none.
pub fn whole(to: &mut Builder, layer: &Layer, word: &str) -> Result<Option<String>> {
    if let Some(whole) = layer.weight(word) {
        return to.weight(&whole.name).map(Some);
    }
    let apart = gates_of(to, layer, word, 0)?;
    Ok(apart.map(|gates| below_each_other(to, &gates)))
}

fn below_each_other(to: &mut Builder, parts: &[String]) -> String {
    to.node("Concat", &parts.iter().map(String::as_str).collect::<Vec<_>>(), vec![int("axis", 0)])
}

/// Gates one below another, for the only direction.
fn one_direction(to: &mut Builder, gates: &[String]) -> String {
    let all = below_each_other(to, gates);
    let axes = to.ints("axes", &[0]);
    to.node("Unsqueeze", &[&all, &axes], vec![])
}

/// The states, (batch, units) each, that a layer begins with: of each further input h, and below it c, units side by side.
pub fn begins(to: &mut Builder, layer: &Layer, kind: &Kind) -> Result<Vec<String>> {
    let given = &layer.inputs[1..layer.inputs.len() - usize::from(layer.lengths().is_some())];
    let state = |number: usize| {
        let lines: Vec<String> = given
            .iter()
            .map(|value| {
                let own = value.extent.channels / kind.states;
                slice_of(to, &value.name, 1, number * own..(number + 1) * own)
            })
            .collect();
        match &lines[..] {
            [only] => only.clone(),
            several => {
                let names: Vec<&str> = several.iter().map(String::as_str).collect();
                to.node("Concat", &names, vec![int("axis", 1)])
            }
        }
    };
    Ok((0..kind.states).map(state).collect())
}
