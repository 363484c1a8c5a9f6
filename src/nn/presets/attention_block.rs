//! What transformers are made of: blocks with a norm before each attention and before the feed-forward layers
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
    /// How the weight that makes queries, keys and values is cut.
    pub projections: Projections,
    /// What projections begin with, and what those before a sum do.
    pub init: [String; 2],
}

/// Whether queries, keys and values come of one weight, or of several, which rules can then name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Projections {
    One,
    /// Queries and keys of one, values of another.
    ValuesApart,
    AllApart,
}

impl Projections {
    fn read(settings: &Settings) -> Result<Self> {
        match settings.text(PROJECTIONS)? {
            "qkv" => Ok(Self::One),
            "qk-v" => Ok(Self::ValuesApart),
            "q-k-v" => Ok(Self::AllApart),
            _ => Err(settings.wrong(PROJECTIONS, "\"qkv\", \"qk-v\" or \"q-k-v\"")),
        }
    }
    /// What each weight makes.
    fn of_itself(self) -> &'static [&'static str] {
        match self {
            Self::One => &["qkv"],
            Self::ValuesApart => &["qk", "v"],
            Self::AllApart => &["q", "k", "v"],
        }
    }
    /// As [`Projections::of_itself`], of a memory: keys and values alone.
    fn of_memory(self) -> &'static [&'static str] {
        if self == Self::One { &["kv"] } else { &["k", "v"] }
    }
}

const PROJECTIONS: &str = "projections";

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
        .chain([("dropout", Toml::Float(0.0)), (PROJECTIONS, Toml::String("qkv".into()))])
}

/// A number of at least 1.
pub fn number(settings: &Settings, key: &str) -> Result<usize> {
    match settings.u32(key)? {
        0 => Err(settings.wrong(key, "at least 1")),
        number => Ok(number as usize),
    }
}

/// The share of numbers that dropout drops.
pub fn dropout(settings: &Settings) -> Result<f64> {
    let p = settings.f64("dropout")?;
    if (0.0..1.0).contains(&p) {
        return Ok(p);
    }
    Err(settings.wrong("dropout", "a number from 0 up to, not including, 1"))
}

impl Block {
    /// As a preset's settings say.
    pub fn read(settings: &Settings, causal: bool, init: [String; 2]) -> Result<Self> {
        let (width, heads) = (number(settings, "width")?, number(settings, "heads")?);
        if !width.is_multiple_of(heads) {
            return Err(settings.wrong("heads", &format!("a number that divides the width, {width}")));
        }
        let (hidden, dropout) = (number(settings, "hidden")?, dropout(settings)?);
        let projections = Projections::read(settings)?;
        Ok(Self { width, heads, hidden, dropout, causal, projections, init })
    }

    /// Dropout, where there is any.
    pub fn drop(&self, net: &mut Graph, name: &str, x: Value) -> Value {
        if self.dropout > 0.0 { net.dropout(name, x, self.dropout) } else { x }
    }

    /// Attention of a value to itself, then the feed-forward layers.
    pub fn add(&self, net: &mut Graph, name: &str, x: Value) -> Value {
        let x = self.attend_itself(net, name, x, None);
        self.feed_forward(net, name, x)
    }

    /// Attention of a value to itself: to as many of its steps as the lengths say, or to all.
    pub fn attend_itself(&self, net: &mut Graph, name: &str, x: Value, lengths: Option<Value>) -> Value {
        let of = |what: &str| format!("{name}.{what}");
        let y = net.layer_norm(&of("norm1"), x);
        let y = self.project(net, &of("attn"), y, self.projections.of_itself());
        let y = self.attention(net, &of("attn"), &[y], lengths, self.causal);
        let y = net.linear_from(&of("attn_out"), y, self.width, &self.init[1], true);
        let y = self.drop(net, &of("attn_drop"), y);
        net.add(&of("add1"), &[x, y])
    }

    /// Attention of a value to another one, likewise.
    pub fn attend(
        &self,
        net: &mut Graph,
        name: &str,
        x: Value,
        memory: Value,
        lengths: Option<Value>,
    ) -> Value {
        let of = |what: &str| format!("{name}.{what}");
        let y = net.layer_norm(&of("cross_norm"), x);
        let q = net.linear_from(&of("cross_q"), y, self.width, &self.init[0], true);
        let kv = self.project(net, &of("cross"), memory, self.projections.of_memory());
        let y = self.attention(net, &of("cross"), &[q, kv], lengths, false);
        let y = net.linear_from(&of("cross_out"), y, self.width, &self.init[1], true);
        let y = self.drop(net, &of("cross_drop"), y);
        net.add(&of("cross_add"), &[x, y])
    }

    /// What attention reads of a value, letters for its parts: one after another, each of as many channels as a step has.
    fn project(&self, net: &mut Graph, name: &str, x: Value, parts: &[&str]) -> Value {
        let linear = |part: &&str| {
            net.linear_from(&format!("{name}_{part}"), x, part.len() * self.width, &self.init[0], true)
        };
        match &parts.iter().map(linear).collect::<Vec<_>>()[..] {
            [whole] => *whole,
            several => net.concat(&format!("{name}_{}", parts.concat()), several),
        }
    }

    pub fn feed_forward(&self, net: &mut Graph, name: &str, x: Value) -> Value {
        let of = |what: &str| format!("{name}.{what}");
        let y = net.layer_norm(&of("norm2"), x);
        let y = net.linear_from(&of("ff1"), y, self.hidden, &self.init[0], true);
        let y = net.activation("gelu", &of("act"), y);
        let y = net.linear_from(&of("ff2"), y, self.width, &self.init[1], true);
        let y = self.drop(net, &of("ff_drop"), y);
        net.add(&of("add2"), &[x, y])
    }

    fn attention(
        &self,
        net: &mut Graph,
        name: &str,
        operands: &[Value],
        lengths: Option<Value>,
        causal: bool,
    ) -> Value {
        let own = [
            ("heads", Toml::Integer(self.heads as i64)),
            ("causal", Toml::Boolean(causal)),
            ("dropout", Toml::Float(self.dropout)),
        ];
        let own: toml::Table = own.map(|(key, value)| (key.to_string(), value)).into_iter().collect();
        let all: Vec<Value> = operands.iter().copied().chain(lengths).collect();
        net.layer("attention", name, &all, own.into())
    }
}
