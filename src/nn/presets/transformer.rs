//! What transformers are made of: blocks with the norm before attention and before the feed-forward layers
//! (Vaswani et al. 2017; Xiong et al. 2020).

use toml::Value as Toml;

use crate::error::Result;
use crate::nn::graph::{Graph, Value};
use crate::recipe::Settings;

/// One kind of block.
pub struct Block {
    pub width: usize,
    pub heads: usize,
    /// Channels between the two feed-forward layers.
    pub hidden: usize,
    pub dropout: f64,
    /// Whether no step attends to later ones.
    pub causal: bool,
    /// What projections begin with, and what those before a sum do.
    pub init: [String; 2],
}

/// The settings that every transformer has, with what they are for one.
pub fn settings(
    layers: i64,
    width: i64,
    heads: i64,
    hidden: i64,
) -> impl Iterator<Item = (&'static str, Toml)> {
    let numbers = [("layers", layers), ("width", width), ("heads", heads), ("hidden", hidden)];
    numbers
        .map(|(key, number)| (key, Toml::Integer(number)))
        .into_iter()
        .chain([("dropout", Toml::Float(0.0))])
}

/// A number of at least 1.
pub fn number(settings: &Settings, key: &str) -> Result<usize> {
    match settings.u32(key)? {
        0 => Err(settings.wrong(key, "at least 1")),
        number => Ok(number as usize),
    }
}

impl Block {
    /// As a preset's settings say.
    pub fn read(settings: &Settings, causal: bool, init: [String; 2]) -> Result<Self> {
        let (width, heads) = (number(settings, "width")?, number(settings, "heads")?);
        if !width.is_multiple_of(heads) {
            return Err(settings.wrong("heads", &format!("a number that divides the width, {width}")));
        }
        let dropout = settings.f64("dropout")?;
        if !(0.0..1.0).contains(&dropout) {
            return Err(settings.wrong("dropout", "a number from 0 up to, not including, 1"));
        }
        Ok(Self { width, heads, hidden: number(settings, "hidden")?, dropout, causal, init })
    }

    /// Dropout, where there is any.
    pub fn drop(&self, net: &mut Graph, name: &str, x: Value) -> Value {
        if self.dropout > 0.0 { net.dropout(name, x, self.dropout) } else { x }
    }

    pub fn add(&self, net: &mut Graph, name: &str, x: Value) -> Value {
        let of = |what: &str| format!("{name}.{what}");
        let [inner, outer] = &self.init;
        let y = net.layer_norm(&of("norm1"), x);
        let y = net.linear_from(&of("attn_qkv"), y, 3 * self.width, inner, true);
        let y = net.attention(&of("attn"), y, self.heads, self.causal, self.dropout);
        let y = net.linear_from(&of("attn_out"), y, self.width, outer, true);
        let y = self.drop(net, &of("attn_drop"), y);
        let x = net.add(&of("add1"), &[x, y]);
        let y = net.layer_norm(&of("norm2"), x);
        let y = net.linear_from(&of("ff1"), y, self.hidden, inner, true);
        let y = net.activation("gelu", &of("act"), y);
        let y = net.linear_from(&of("ff2"), y, self.width, outer, true);
        let y = self.drop(net, &of("ff_drop"), y);
        net.add(&of("add2"), &[x, y])
    }
}
