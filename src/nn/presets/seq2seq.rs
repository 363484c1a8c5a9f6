//! An encoder and a decoder of LSTMs with attention between them (Sutskever et al. 2014; Bahdanau et al. 2015; Luong et al.
//! 2015): the source is read in both directions, the target from its beginning, with what the encoder ends with, and each step
//! of the target attends to all of the source. Padding behind a source counts for nothing.

use toml::Value;

use super::transformer::number;
use super::{Entry, Reads};
use crate::error::Result;
use crate::nn::extent::Extent;
use crate::nn::graph::Graph;
use crate::recipe::Settings;

pub const ENTRY: Entry = Entry {
    name: "seq2seq",
    about: "LSTMs of `units` that read the source in both directions, one that reads the target, which begins with their last states, attention by `heads` between them; `source`: how many steps of a sample are its source, which has to be said; `padding`: the token that fills sources up, which nobody sees (-1: none)",
    reads: Reads::Tokens,
    optional: || {
        vec![
            ("width", Value::Integer(32)),
            ("units", Value::Integer(64)),
            ("heads", Value::Integer(1)),
            ("source", Value::Integer(0)),
            ("padding", Value::Integer(0)),
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
    let vocabulary = input.vocabulary.unwrap_or(1);
    let padding = match settings.i64("padding")? {
        -1 => None,
        token if (0..vocabulary as i64).contains(&token) => Some(token as u32),
        _ => return Err(settings.wrong("padding", &format!("a token below {vocabulary}, or -1: none"))),
    };
    let mut net = Graph::new();
    let x = net.data();
    let lengths: Vec<_> = padding.map(|token| net.lengths("lengths", x, source, token)).into_iter().collect();
    let x = net.embedding("embed", x, number(settings, "width")?, "normal:1");
    let from = net.steps("source", x, 0..source);
    // Of each direction what it has read of each step, and where it ends.
    let mut read = |name: &str, reverse: bool| {
        let own = [("reverse", Value::Boolean(reverse)), ("cells", Value::Boolean(true))];
        let own: toml::Table = own.map(|(key, value)| (key.to_string(), value)).into_iter().collect();
        let states = net.recurrent_with("lstm", name, from, units, &lengths, own.into());
        let last = net.step(&format!("{name}_last"), states, if reverse { "first" } else { "last" });
        (net.slice(&format!("{name}_out"), states, 0..units), last)
    };
    let ((ahead, ahead_last), (back, back_last)) = (read("encoder", false), read("encoder_back", true));
    let encoded = net.concat("encoded", &[ahead, back]);
    let to = net.steps("target", x, source..steps);
    let begins = [ahead_last, back_last];
    let decoded = net.recurrent_with("lstm", "decoder", to, 2 * units, &begins, Settings::default());
    let query = net.linear("query", decoded, 2 * units);
    let memory = net.linear("memory", encoded, 4 * units);
    let context = net.attend("attend", query, memory, heads, lengths.first().copied());
    let both = net.concat("both", &[decoded, context]);
    let x = net.linear("mix", both, 2 * units);
    let x = net.activation("tanh", "mix_act", x);
    net.linear("head", x, classes);
    Ok(net)
}
