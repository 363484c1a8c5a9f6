//! A transformer that is asked for the next token (Radford et al. 2019): learned positions, causal blocks, a last norm, and a
//! head without bias, which may share the embedding's weight.

use toml::{Table, Value};

use super::attention_block::{Block, number, settings as common};
use super::{Entry, Reads};
use crate::error::Result;
use crate::nn::extent::Extent;
use crate::nn::graph::Graph;
use crate::recipe::Settings;

pub const ENTRY: Entry = Entry {
    name: "gpt",
    about: "an embedding, learned positions and blocks of causal attention and feed-forward layers (GELU), pre-norm; `projections`: which of query, key and value come of one weight, `qkv`, `qk-v` or `q-k-v`; `tied`: the head shares the embedding",
    reads: Reads::Tokens,
    optional: || common(4, 128, 4, 512).chain([("tied", Value::Boolean(false))]).collect(),
    build,
};

/// Deviation of what weights begin with, as published.
const DEVIATION: f64 = 0.02;

fn build(settings: &Settings, _: &Extent, classes: usize) -> Result<Graph> {
    let layers = number(settings, "layers")?;
    // Each block adds to what passes it twice.
    let outer = DEVIATION / ((2 * layers) as f64).sqrt();
    let normal = |deviation: f64| format!("normal:{deviation}");
    let block = Block::read(settings, true, [normal(DEVIATION), normal(outer)])?;

    let mut net = Graph::new();
    let x = net.data();
    let embed = net.embedding("embed", x, block.width, &normal(DEVIATION));
    let x = net.positions("positions", embed, DEVIATION);
    let mut x = block.drop(&mut net, "embed_drop", x);
    for layer in 0..layers {
        x = block.add(&mut net, &format!("blocks.{layer}"), x);
    }
    let x = net.layer_norm("norm", x);
    if settings.bool("tied")? {
        let mut own = Table::new();
        own.insert("out".into(), Value::Integer(classes as i64));
        own.insert("share".into(), Value::String("embed".into()));
        net.layer("linear", "head", &[x], own.into());
    } else {
        net.linear_from("head", x, classes, &normal(DEVIATION), false);
    }
    Ok(net)
}
