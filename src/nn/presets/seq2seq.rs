//! An encoder and a decoder of LSTMs with attention between them (Sutskever et al. 2014; Bahdanau et al. 2015; Luong et al.
//! 2015): the source is read in both directions, the target from its beginning, with what the encoder ends with, and each step
//! of the target attends to all of the source. Padding behind a source counts for nothing.

use toml::Value as Toml;

use super::attention_block::{dropout, number};
use super::pair::{self, Pair};
use super::{Entry, Reads};
use crate::error::Result;
use crate::nn::extent::Extent;
use crate::nn::graph::{Graph, Value};
use crate::recipe::Settings;

pub const ENTRY: Entry = Entry {
    name: "seq2seq",
    about: "`layers` LSTMs of `units` that read the source in both directions, as many that read the target, each begun with the last states of its encoder, dropout behind each, attention by `heads` between the two sides; `gates`: `apart` has a weight for each gate of the recurrent ones; `source`: how many steps of a sample are its source (0: as many as the data says); `padding`: the token that fills sources up, which nobody sees (-1: none)",
    reads: Reads::Tokens,
    optional: || {
        let own = [
            ("layers", Toml::Integer(1)),
            ("width", Toml::Integer(32)),
            ("units", Toml::Integer(64)),
            ("heads", Toml::Integer(1)),
            ("dropout", Toml::Float(0.0)),
            ("gates", Toml::String("together".into())),
        ];
        own.into_iter().chain(pair::settings()).collect()
    },
    build,
};

fn build(settings: &Settings, input: &Extent, classes: usize) -> Result<Graph> {
    let (layers, units) = (number(settings, "layers")?, number(settings, "units")?);
    let (heads, dropout, pair) =
        (number(settings, "heads")?, dropout(settings)?, Pair::read(settings, input)?);
    if !(2 * units).is_multiple_of(heads) {
        return Err(settings.wrong("heads", &format!("a number that divides {}, twice the units", 2 * units)));
    }
    let drop = |net: &mut Graph, name: &str, x: Value| {
        if dropout > 0.0 { net.dropout(&format!("{name}_drop"), x, dropout) } else { x }
    };
    let gates = settings.text("gates")?;
    let mut net = Graph::new();
    let x = net.data();
    let lengths = pair.lengths(&mut net, x);
    let x = net.embedding("embed", x, number(settings, "width")?, "normal:1");
    let mut encoded = net.steps("source", x, pair.source);
    // Of each layer what its two directions end with.
    let mut ends = Vec::new();
    for layer in 0..layers {
        let name = numbered("encoder", layer);
        let own = |reverse: bool| {
            toml::Table::from_iter([("reverse".to_string(), reverse.into()), ("gates".into(), gates.into())])
        };
        let (ahead, ahead_last) = read(&mut net, &name, encoded, units, lengths, own(false));
        let (back, back_last) = read(&mut net, &format!("{name}_back"), encoded, units, lengths, own(true));
        let name = numbered("encoded", layer);
        encoded = net.concat(&name, &[ahead, back]);
        encoded = drop(&mut net, &name, encoded);
        ends.push([ahead_last, back_last]);
    }
    let mut decoded = net.steps("target", x, pair.target);
    for (layer, ends) in ends.iter().enumerate() {
        let name = numbered("decoder", layer);
        let own = toml::Table::from_iter([("gates".to_string(), gates.into())]);
        decoded = net.recurrent_with("lstm", &name, decoded, 2 * units, ends, own.into());
        decoded = drop(&mut net, &name, decoded);
    }
    let query = net.linear("query", decoded, 2 * units);
    let memory = net.linear("memory", encoded, 4 * units);
    let context = net.attend("attend", query, memory, heads, lengths);
    let both = net.concat("both", &[decoded, context]);
    let x = net.linear("mix", both, 2 * units);
    let x = net.activation("tanh", "mix_act", x);
    net.linear("head", x, classes);
    Ok(net)
}

/// The first of several layers has the name itself.
fn numbered(name: &str, layer: usize) -> String {
    if layer == 0 { name.into() } else { format!("{name}{layer}") }
}

/// What an LSTM of one direction makes of each step, and the state, h and c, that it ends with.
fn read(
    net: &mut Graph,
    name: &str,
    x: Value,
    units: usize,
    lengths: Option<Value>,
    mut own: toml::Table,
) -> (Value, Value) {
    let reverse = own["reverse"] == Toml::Boolean(true);
    own.insert("cells".into(), Toml::Boolean(true));
    let lengths: Vec<Value> = lengths.into_iter().collect();
    let states = net.recurrent_with("lstm", name, x, units, &lengths, own.into());
    let last = net.step(&format!("{name}_last"), states, if reverse { "first" } else { "last" });
    (net.slice(&format!("{name}_out"), states, 0..units), last)
}
