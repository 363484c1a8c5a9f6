//! What networks of pairs have in common: the first steps of a sample are its source, the others its target; padding behind a
//! source counts for nothing. The data knows how long a source is, so that a recipe need not say it.

use std::ops::Range;

use toml::Value as Toml;

use super::ALL;
use crate::error::Result;
use crate::nn::extent::Extent;
use crate::nn::graph::{Graph, Value};
use crate::recipe::{Model, Settings};

/// The setting that says how many steps of a sample are its source, and with its table.
const SOURCE: &str = "source";
pub const PATH: &str = "model.source";

/// Where a sample's two sides lie.
pub struct Pair {
    pub source: Range<usize>,
    pub target: Range<usize>,
    /// The token that fills sources up.
    padding: Option<u32>,
}

/// The settings that say so; a source of 0 steps is left to the data.
pub fn settings() -> [(&'static str, Toml); 2] {
    [(SOURCE, Toml::Integer(0)), ("padding", Toml::Integer(0))]
}

impl Pair {
    pub fn read(settings: &Settings, input: &Extent) -> Result<Self> {
        let (steps, vocabulary) = (input.cols(1), input.vocabulary.unwrap_or(1));
        let source = settings.u32(SOURCE)? as usize;
        if source == 0 || source >= steps {
            let what = format!("1 to {}: the steps of a sample that are its source", steps - 1);
            return Err(settings.wrong(SOURCE, &what));
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

/// The steps that a model reads as source: 0 where that is left to the data, `None` where it reads no pairs, or where what
/// is written is no number of steps.
pub fn source(model: &Model) -> Option<usize> {
    let Model::Preset { name, settings } = model else { return None };
    let entry = ALL.iter().find(|entry| entry.name == name)?;
    (entry.optional)().iter().find(|(key, _)| *key == SOURCE)?;
    let Some(written) = settings.values().get(SOURCE) else { return Some(0) };
    usize::try_from(written.as_integer()?).ok()
}

/// A model with so many steps of source, where it leaves that to the data.
pub fn with_source(model: &Model, steps: usize) -> Model {
    match model {
        Model::Preset { name, settings } if source(model) == Some(0) => {
            let settings = settings.with(SOURCE, Toml::Integer(steps as i64));
            Model::Preset { name: name.clone(), settings }
        }
        _ => model.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_filled_in_where_nobody_wrote_one() {
        let model = |name: &str, text: &str| {
            let settings: toml::Table = text.parse().unwrap();
            Model::Preset { name: name.into(), settings: settings.into() }
        };
        for name in ["seq2seq", "transformer"] {
            let open = model(name, "layers = 1");
            assert_eq!((source(&open), source(&with_source(&open, 21))), (Some(0), Some(21)), "{name}");
        }
        let written = model("seq2seq", "source = 12");
        assert_eq!(with_source(&written, 21), written);
        assert_eq!(with_source(&model("gpt", ""), 21), model("gpt", ""));
        assert_eq!(source(&model("gpt", "")), None);
        let wrong = model("seq2seq", "source = 'x'");
        assert_eq!(with_source(&wrong, 21), wrong, "it is refused where settings are read");
    }
}
