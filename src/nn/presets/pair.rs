//! What networks of pairs have in common: the first steps of a sample are its source, the others its target; padding behind a
//! source counts for nothing.

use std::ops::Range;

use toml::Value as Toml;

use crate::error::Result;
use crate::nn::extent::Extent;
use crate::nn::graph::{Graph, Value};
use crate::recipe::Settings;

/// Where a sample's two sides lie.
pub struct Pair {
    pub source: Range<usize>,
    pub target: Range<usize>,
    /// The token that fills sources up.
    padding: Option<u32>,
}

/// The settings that say so. How long a source is has to be said.
pub fn settings() -> [(&'static str, Toml); 2] {
    [("source", Toml::Integer(0)), ("padding", Toml::Integer(0))]
}

impl Pair {
    pub fn read(settings: &Settings, input: &Extent) -> Result<Self> {
        let (steps, vocabulary) = (input.cols(1), input.vocabulary.unwrap_or(1));
        let source = settings.u32("source")? as usize;
        if source == 0 || source >= steps {
            let what = format!("1 to {}: the steps of a sample that are its source", steps - 1);
            return Err(settings.wrong("source", &what));
        }
        let padding = match settings.i64("padding")? {
            -1 => None,
            token if (0..vocabulary as i64).contains(&token) => Some(token as u32),
            _ => return Err(settings.wrong("padding", &format!("a token below {vocabulary}, or -1: none"))),
        };
        Ok(Self { source: 0..source, target: source..steps, padding })
    }

    /// How many steps of each source are no padding, if any may be.
    pub fn lengths(&self, net: &mut Graph, tokens: Value) -> Option<Value> {
        self.padding.map(|token| net.lengths("lengths", tokens, self.source.end, token))
    }
}
