//! A vision transformer for small images (Dosovitskiy et al. 2021): patches, learned positions, blocks, and a linear layer on
//! the mean of all steps or on a class token.

use toml::Value;

use super::attention_block::{Block, number, settings as common};
use super::{Entry, Reads};
use crate::error::{Error, Result};
use crate::nn::extent::Extent;
use crate::nn::graph::Graph;
use crate::recipe::Settings;

pub const ENTRY: Entry = Entry {
    name: "vit",
    about: "patches, learned positions and blocks of attention and feed-forward layers (GELU), pre-norm; `projections` as in `gpt`; `pool` is `mean` or `class`",
    reads: Reads::Images,
    optional: || {
        let own = [("patch", Value::Integer(4)), ("pool", Value::String("mean".into()))];
        common(4, 64, 4, 128).chain(own).collect()
    },
    build,
};

/// Deviation of what positions and class token begin with, as in the paper's code.
const DEVIATION: f64 = 0.02;

fn build(settings: &Settings, input: &Extent, classes: usize) -> Result<Graph> {
    let (layers, patch) = (number(settings, "layers")?, number(settings, "patch")?);
    let block = Block::read(settings, false, ["xavier".into(), "xavier".into()])?;
    if !input.sites.iter().all(|sites| sites.is_multiple_of(patch)) {
        let error = Error::usage("preset `vit` cuts images into whole patches");
        let error = error.at(format!("a sample has {input}, no multiple of {patch}"));
        return Err(settings.locate("patch", error));
    }
    let has_token = match settings.text("pool")? {
        "mean" => false,
        "class" => true,
        _ => return Err(settings.wrong("pool", "\"mean\" or \"class\"")),
    };

    let mut net = Graph::new();
    let x = net.data();
    let x = net.patches("patches", x, patch);
    let mut x = net.linear_from("embed", x, block.width, "xavier", true);
    if has_token {
        x = net.class_token("class", x, DEVIATION);
    }
    x = net.positions("positions", x, DEVIATION);
    x = block.drop(&mut net, "embed_drop", x);
    for layer in 0..layers {
        x = block.add(&mut net, &format!("blocks.{layer}"), x);
    }
    x = net.layer_norm("norm", x);
    x = if has_token { net.step("pool", x, "first") } else { net.global_average_pool("pool", x) };
    net.linear_from("head", x, classes, "xavier", true);
    Ok(net)
}
