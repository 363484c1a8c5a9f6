//! An encoder and a decoder of LSTMs with attention between them (Bahdanau et al. 2015; Luong et al. 2015): the source is read
//! in both directions, the target from its beginning, and each step of the target attends to all of the source.

use toml::Value;

use super::transformer::number;
use super::{Entry, Reads};
use crate::error::Result;
use crate::nn::extent::Extent;
use crate::nn::graph::Graph;
use crate::recipe::Settings;

pub const ENTRY: Entry = Entry {
    name: "seq2seq",
    about: "LSTMs of `units` that read the source in both directions, one that reads the target, attention by `heads` between them; `source`: how many steps of a sample are its source, which has to be said",
    reads: Reads::Tokens,
    optional: || {
        vec![
            ("width", Value::Integer(32)),
            ("units", Value::Integer(64)),
            ("heads", Value::Integer(1)),
            ("source", Value::Integer(0)),
        ]
    },
    build,
};

fn build(settings: &Settings, input: &Extent, classes: usize) -> Result<Graph> {
    let (units, heads, steps) = (number(settings, "units")?, number(settings, "heads")?, input.cols(1));
    let source = settings.u32("source")? as usize;
    if source == 0 || source >= steps {
        return Err(settings
            .wrong("source", &format!("1 to {}: the steps of a sample that are its source", steps - 1)));
    }
    if !(2 * units).is_multiple_of(heads) {
        return Err(settings.wrong("heads", &format!("a number that divides {}, twice the units", 2 * units)));
    }
    let mut net = Graph::new();
    let x = net.data();
    let x = net.embedding("embed", x, number(settings, "width")?, "normal:1");
    let from = net.steps("source", x, 0..source);
    let ahead = net.lstm("encoder", from, units);
    let back = net.recurrent("lstm", "encoder_back", from, units, true, false);
    let encoded = net.concat("encoded", &[ahead, back]);
    let to = net.steps("target", x, source..steps);
    let decoded = net.lstm("decoder", to, 2 * units);
    let query = net.linear("query", decoded, 2 * units);
    let memory = net.linear("memory", encoded, 4 * units);
    let context = net.attend("attend", query, memory, heads);
    let both = net.concat("both", &[decoded, context]);
    let x = net.linear("mix", both, 2 * units);
    let x = net.activation("tanh", "mix_act", x);
    net.linear("head", x, classes);
    Ok(net)
}
