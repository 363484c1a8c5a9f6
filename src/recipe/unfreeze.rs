//! `[unfreeze]`: groups of layers that join training one after another, the output's first.

use toml::Value;

use super::duration::{self, Duration};
use super::section::{self, Section};
use super::writer::Writer;
use crate::error::{Error, Result};

/// Which layers train when. That each layer is in one group is checked once there are layers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unfreeze {
    /// From the output to the input: patterns over the names of layers, for [`glob`](super::glob). If there are none,
    /// all layers train from the first step.
    pub groups: Vec<Vec<String>>,
    /// When each group but the first, which trains from step 0, joins.
    pub phases: Vec<Duration>,
    /// By phase, a factor on the learning rate, at least 0.
    pub lr: Vec<f64>,
}

impl Unfreeze {
    pub(super) fn read(mut section: Section) -> Result<Unfreeze> {
        let groups =
            section.take("groups", "lists of patterns, such as [[\"head\"], [\"fc2\"]]", |value| {
                let words = |group: &Value| -> Option<Vec<String>> {
                    let words: Option<Vec<String>> =
                        group.as_array()?.iter().map(|word| word.as_str().map(String::from)).collect();
                    words.filter(|words| !words.is_empty())
                };
                value.as_array()?.iter().map(words).collect::<Option<Vec<_>>>()
            })?;
        let expected = format!("a list, each {}", duration::EXPECTED);
        let phases = section.take("phases", &expected, |value| {
            value.as_array()?.iter().map(Duration::from_value).collect::<Option<Vec<_>>>()
        })?;
        let lr = section.take("lr", "a list of numbers of at least 0", |value| {
            let factor = |value| section::number(value).filter(|&factor| factor >= 0.0);
            value.as_array()?.iter().map(factor).collect::<Option<Vec<_>>>()
        })?;
        section.finish()?;
        let (groups, phases) = (groups.unwrap_or_default(), phases.unwrap_or_default());
        let lr = lr.unwrap_or_else(|| vec![1.0; groups.len()]);
        let refuse = |key: &str, what: &str, expected: usize, found: usize| {
            let error = Error::usage(what).at(format!("groups: {}", groups.len()));
            section.locate(key, error.at(format!("expected: {expected} in `unfreeze.{key}`; found: {found}")))
        };
        let further = groups.len().saturating_sub(1);
        if phases.len() != further {
            return Err(refuse(
                "phases",
                "every group but the first says when it joins",
                further,
                phases.len(),
            ));
        }
        if lr.len() != groups.len() {
            return Err(refuse("lr", "every phase has a factor, or none has", groups.len(), lr.len()));
        }
        Ok(Unfreeze { groups, phases, lr })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.section("[unfreeze]");
        w.key("groups", self.groups.clone());
        w.key("phases", self.phases.iter().map(Duration::to_string).collect::<Vec<_>>());
        w.key("lr", self.lr.clone());
    }
}
