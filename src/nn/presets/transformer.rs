//! A transformer that reads a source and writes a target (Vaswani et al. 2017), with the norm before each layer: all of the
//! source attends to all of it, the target to what lies before and to the source. Padding behind a source counts for nothing.

use toml::{Table, Value as Toml};

use super::attention_block::{Block, number, settings as common};
use super::pair::{self, Pair};
use super::{Entry, Reads};
use crate::error::Result;
use crate::nn::extent::Extent;
use crate::nn::graph::{Graph, Value};
use crate::recipe::Settings;

pub const ENTRY: Entry = Entry {
    name: "transformer",
    about: "an encoder of `layers` blocks that reads the source, a decoder of as many that reads the target and attends to the encoder (GELU), pre-norm; `projections` as in `gpt`, and `cross_kv` is cut as well; `positions` are `learned` or `sinusoidal`; `tied`: the head shares the embedding; `source` and `padding` as in `seq2seq`",
    reads: Reads::Tokens,
    optional: || {
        let own = [("tied", Toml::Boolean(false)), ("positions", Toml::String("learned".into()))];
        common(2, 64, 4, 256).chain(own).chain(pair::settings()).collect()
    },
    build,
};

fn build(settings: &Settings, input: &Extent, classes: usize) -> Result<Graph> {
    let (layers, pair) = (number(settings, "layers")?, Pair::read(settings, input)?);
    let block = |causal: bool| Block::read(settings, causal, ["xavier".into(), "xavier".into()]);
    let (encoder, decoder) = (block(false)?, block(true)?);
    let tied = settings.bool("tied")?;
    // A head of such numbers begins with logits of deviation 1; an embedding alone begins as PyTorch's do.
    let deviation = if tied { 1.0 / (encoder.width as f64).sqrt() } else { 1.0 };
    let kind = settings.text("positions")?;
    if !["learned", "sinusoidal"].contains(&kind) {
        return Err(settings.wrong("positions", "\"learned\" or \"sinusoidal\""));
    }
    let placed = |net: &mut Graph, side: &str, x: Value| {
        let mut own = Table::new();
        own.insert("kind".into(), Toml::String(kind.into()));
        own.insert("std".into(), Toml::Float(deviation));
        let x = net.layer("positions", &format!("{side}_positions"), &[x], own.into());
        encoder.drop(net, &format!("{side}_drop"), x)
    };

    let mut net = Graph::new();
    let x = net.data();
    let lengths = pair.lengths(&mut net, x);
    let x = net.embedding("embed", x, encoder.width, &format!("normal:{deviation}"));
    let from = net.steps("source", x, pair.source);
    let mut read = placed(&mut net, "source", from);
    for layer in 0..layers {
        let name = format!("encoder.{layer}");
        read = encoder.attend_itself(&mut net, &name, read, lengths);
        read = encoder.feed_forward(&mut net, &name, read);
    }
    let memory = net.layer_norm("encoder_norm", read);
    let to = net.steps("target", x, pair.target);
    let mut x = placed(&mut net, "target", to);
    for layer in 0..layers {
        let name = format!("decoder.{layer}");
        x = decoder.attend_itself(&mut net, &name, x, None);
        x = decoder.attend(&mut net, &name, x, memory, lengths);
        x = decoder.feed_forward(&mut net, &name, x);
    }
    let x = net.layer_norm("decoder_norm", x);
    if tied {
        let mut own = Table::new();
        own.insert("out".into(), Toml::Integer(classes as i64));
        own.insert("share".into(), Toml::String("embed".into()));
        net.layer("linear", "head", &[x], own.into());
    } else {
        net.linear_from("head", x, classes, "xavier", false);
    }
    Ok(net)
}
