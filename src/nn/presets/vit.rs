//! A vision transformer for small images (Dosovitskiy et al. 2021): patches, learned positions, blocks with the norm before
//! attention and before the feed-forward layers, and a linear layer on the mean of all steps or on a class token.

use toml::Value;

use super::Entry;
use crate::error::{Error, Result};
use crate::nn::extent::Extent;
use crate::nn::graph::{Graph, Value as Made};
use crate::recipe::Settings;

pub const ENTRY: Entry = Entry {
    name: "vit",
    about: "patches, learned positions and blocks of attention and feed-forward layers (GELU), pre-norm; `pool` is `mean` or `class`",
    optional: || {
        vec![
            ("layers", Value::Integer(4)),
            ("width", Value::Integer(64)),
            ("heads", Value::Integer(4)),
            ("patch", Value::Integer(4)),
            ("hidden", Value::Integer(128)),
            ("pool", Value::String("mean".into())),
            ("dropout", Value::Float(0.0)),
        ]
    },
    build,
};

/// Deviation of what positions and class token begin with, as in the paper's code.
const DEVIATION: f64 = 0.02;

fn build(settings: &Settings, input: &Extent, classes: usize) -> Result<Graph> {
    let number = |key: &str| -> Result<usize> {
        match settings.u32(key)? {
            0 => Err(settings.wrong(key, "at least 1")),
            number => Ok(number as usize),
        }
    };
    let (layers, width, patch) = (number("layers")?, number("width")?, number("patch")?);
    let heads = number("heads")?;
    if !width.is_multiple_of(heads) {
        return Err(settings.wrong("heads", &format!("a number that divides the width, {width}")));
    }
    let block = Block { width, heads, hidden: number("hidden")?, dropout: settings.f64("dropout")? };
    if !(0.0..1.0).contains(&block.dropout) {
        return Err(settings.wrong("dropout", "a number from 0 up to, not including, 1"));
    }
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
    let mut x = net.linear_from("embed", x, width, "xavier", true);
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

struct Block {
    width: usize,
    heads: usize,
    hidden: usize,
    dropout: f64,
}

impl Block {
    /// Dropout, where there is any.
    fn drop(&self, net: &mut Graph, name: &str, x: Made) -> Made {
        if self.dropout > 0.0 { net.dropout(name, x, self.dropout) } else { x }
    }

    fn add(&self, net: &mut Graph, name: &str, x: Made) -> Made {
        let of = |what: &str| format!("{name}.{what}");
        let y = net.layer_norm(&of("norm1"), x);
        let y = net.linear_from(&of("attn_qkv"), y, 3 * self.width, "xavier", true);
        let y = net.attention(&of("attn"), y, self.heads, false, self.dropout);
        let y = net.linear_from(&of("attn_out"), y, self.width, "xavier", true);
        let y = self.drop(net, &of("attn_drop"), y);
        let x = net.add(&of("add1"), &[x, y]);
        let y = net.layer_norm(&of("norm2"), x);
        let y = net.linear_from(&of("ff1"), y, self.hidden, "xavier", true);
        let y = net.activation("gelu", &of("act"), y);
        let y = net.linear_from(&of("ff2"), y, self.width, "xavier", true);
        let y = self.drop(net, &of("ff_drop"), y);
        net.add(&of("add2"), &[x, y])
    }
}
