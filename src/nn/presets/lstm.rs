//! Stacked LSTMs that are asked for the next token (Zaremba et al. 2014): an embedding, LSTMs, and a linear layer.

use toml::Value;

use super::attention_block::{dropout, number};
use super::{Entry, Reads};
use crate::error::Result;
use crate::nn::extent::Extent;
use crate::nn::graph::Graph;
use crate::recipe::Settings;

pub const ENTRY: Entry = Entry {
    name: "lstm-lm",
    about: "an embedding of `width`, `layers` LSTMs of `units`, dropout between them, and a linear layer; `carry`: each step goes on where the one before ended (data.order = \"streams\"); `gates`: `apart` has a weight for each gate of the recurrent ones",
    reads: Reads::Tokens,
    optional: || {
        vec![
            ("layers", Value::Integer(1)),
            ("width", Value::Integer(64)),
            ("units", Value::Integer(256)),
            ("dropout", Value::Float(0.0)),
            ("carry", Value::Boolean(true)),
            ("gates", Value::String("together".into())),
        ]
    },
    build,
};

fn build(settings: &Settings, _: &Extent, classes: usize) -> Result<Graph> {
    let (layers, units) = (number(settings, "layers")?, number(settings, "units")?);
    let (dropout, carry, gates) = (dropout(settings)?, settings.bool("carry")?, settings.text("gates")?);
    let mut net = Graph::new();
    let x = net.data();
    let mut x = net.embedding("embed", x, number(settings, "width")?, "normal:1");
    for layer in 0..layers {
        let own =
            toml::Table::from_iter([("carry".to_string(), carry.into()), ("gates".into(), gates.into())]);
        x = net.recurrent_with("lstm", &format!("lstm{layer}"), x, units, &[], own.into());
        if dropout > 0.0 {
            x = net.dropout(&format!("drop{layer}"), x, dropout);
        }
    }
    net.linear("head", x, classes);
    Ok(net)
}
