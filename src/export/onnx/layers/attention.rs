//! Attention by heads: softmax(q k / sqrt(d)) v.

use super::super::builder::{Builder, int, int_list};
use super::super::network::Layer;
use super::channels::slice_of;
use crate::error::Result;

pub fn attention(to: &mut Builder, layer: &Layer) -> Result<String> {
    let (width, heads) = (layer.output.channels, layer.number("heads")?);
    let depth = width / heads;
    // q, k and v are thirds of one value, or k and v are halves of another one.
    let is_cross = layer.inputs.len() - usize::from(layer.lengths().is_some()) == 2;
    let others = &layer.inputs[usize::from(is_cross)];
    let steps = [layer.extent().sites[0], others.extent.sites[0]];
    let first = if is_cross { 0 } else { width };
    let q = if is_cross { layer.x().to_string() } else { slice_of(to, layer.x(), 2, 0..width) };
    let [k, v] = [first, first + width].map(|at| slice_of(to, &others.name, 2, at..at + width));
    // (batch, heads, steps, depth), of k (batch, heads, depth, keys).
    let mut by_head = |x: &str, steps: usize, order: &[i64]| {
        let cut = to.reshape(x, &[steps, heads, depth]);
        to.node("Transpose", &[&cut], vec![int_list("perm", order)])
    };
    let q = by_head(&q, steps[0], &[0, 2, 1, 3]);
    let k = by_head(&k, steps[1], &[0, 2, 3, 1]);
    let v = by_head(&v, steps[1], &[0, 2, 1, 3]);
    let scores = to.node("MatMul", &[&q, &k], vec![]);
    let scale = to.scalar("scale", 1.0 / (depth as f32).sqrt());
    let mut scores = to.node("Mul", &[&scores, &scale], vec![]);
    let mask = mask(to, layer, steps)?;
    if let Some(mask) = &mask {
        // Not infinity, which would make NaN of a sample without keys.
        let least = to.scalar("least", f32::MIN);
        scores = to.node("Where", &[mask, &scores, &least], vec![]);
    }
    let mut probabilities = to.node("Softmax", &[&scores], vec![int("axis", -1)]);
    if let Some(mask) = mask.filter(|_| layer.lengths().is_some()) {
        let nothing = to.scalar("nothing", 0.0);
        probabilities = to.node("Where", &[&mask, &probabilities, &nothing], vec![]);
    }
    let y = to.node("MatMul", &[&probabilities, &v], vec![]);
    let y = to.node("Transpose", &[&y], vec![int_list("perm", &[0, 2, 1, 3])]);
    Ok(to.reshape(&y, &[steps[0], width]))
}

/// Which keys a query attends to: broadcast to (batch, heads, queries, keys).
fn mask(to: &mut Builder, layer: &Layer, [queries, keys]: [usize; 2]) -> Result<Option<String>> {
    let causal = layer.settings.bool("causal")?.then(|| {
        let attends = |query: usize| (0..keys).map(move |key| key <= query);
        to.bools("causal", &[queries, keys], &(0..queries).flat_map(attends).collect::<Vec<_>>())
    });
    let there = layer.lengths().map(|lengths| {
        let axes = to.ints("axes", &[1, 2, 3]);
        let ends = to.node("Unsqueeze", &[&lengths.name, &axes], vec![]);
        let numbers = to.ints("keys", &(0..keys as i64).collect::<Vec<_>>());
        to.node("Less", &[&numbers, &ends], vec![])
    });
    Ok(match (causal, there) {
        (Some(causal), Some(there)) => Some(to.node("And", &[&causal, &there], vec![])),
        (causal, there) => causal.or(there),
    })
}
