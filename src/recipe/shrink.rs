//! `[shrink]`: phases from the full network to ever smaller ones.

use toml::Value;

use super::duration::{self, Duration};
use super::section::{self, Section};
use super::words;
use super::writer::Writer;
use crate::error::{Error, Result};

/// What a phase lets vary, beside what the phases before it do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vary {
    /// Nothing: the full network trains.
    Full,
    /// All sizes that pictures are resized to.
    Resolution,
    /// All kernel sizes.
    Kernel,
    /// The next smaller number of blocks.
    Depth,
    /// The next smaller expansion.
    Width,
}

impl Vary {
    pub const ALL: [Vary; 5] = [Vary::Full, Vary::Resolution, Vary::Kernel, Vary::Depth, Vary::Width];
    pub fn name(self) -> &'static str {
        match self {
            Vary::Full => "full",
            Vary::Resolution => "resolution",
            Vary::Kernel => "kernel",
            Vary::Depth => "depth",
            Vary::Width => "width",
        }
    }
}

/// Progressive shrinking; off where there are no phases.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shrink {
    /// The first is [`Vary::Full`], and no other.
    pub phases: Vec<Vary>,
    /// When each phase but the first begins.
    pub begin: Vec<Duration>,
    /// By phase, a factor on the learning rate, at least 0.
    pub lr: Vec<f64>,
    /// By phase, subnets a step, at least 1.
    pub subnets: Vec<u32>,
}

impl Shrink {
    pub fn is_on(&self) -> bool {
        !self.phases.is_empty()
    }

    pub(super) fn read(mut section: Section) -> Result<Shrink> {
        let texts =
            section.take("phases", "a list such as [\"full\", \"kernel\", \"depth\", \"width\"]", |v| {
                v.as_array()?.iter().map(|word| word.as_str().map(String::from)).collect::<Option<Vec<_>>>()
            })?;
        let read = |word: &String| words::named("phase", word, &Vary::ALL, Vary::name);
        let phases: Result<Vec<Vary>> = texts.unwrap_or_default().iter().map(read).collect();
        let phases = phases.map_err(|error| section.locate("phases", error))?;
        let expected = format!("a list, each {}", duration::EXPECTED);
        let begin = section.take("begin", &expected, |value| {
            value.as_array()?.iter().map(Duration::from_value).collect::<Option<Vec<_>>>()
        })?;
        let lr = section.take("lr", "a list of numbers of at least 0", |value| {
            let factor = |value| section::number(value).filter(|&factor| factor >= 0.0);
            value.as_array()?.iter().map(factor).collect::<Option<Vec<_>>>()
        })?;
        let subnets = section.take("subnets", "a list of whole numbers of at least 1", |value| {
            value.as_array()?.iter().map(section::count).collect::<Option<Vec<_>>>()
        })?;
        section.finish()?;
        let begin = begin.unwrap_or_default();
        let lr = lr.unwrap_or_else(|| vec![1.0; phases.len()]);
        let subnets = subnets.unwrap_or_else(|| vec![1; phases.len()]);
        let is_first = |(at, vary): (usize, &Vary)| (at == 0) == (*vary == Vary::Full);
        if !phases.iter().enumerate().all(is_first) {
            let error = Error::usage("the first phase trains the full network, and no other does");
            return Err(section.locate("phases", error).hint("phases = [\"full\", \"kernel\", ..]"));
        }
        let lengths = [
            (
                "begin",
                "every phase but the first says when it begins",
                begin.len(),
                phases.len().saturating_sub(1),
            ),
            ("lr", "every phase has a factor, or none has", lr.len(), phases.len()),
            ("subnets", "every phase has a number of subnets, or none has", subnets.len(), phases.len()),
        ];
        if let Some((key, what, found, wanted)) =
            lengths.into_iter().find(|(.., found, wanted)| found != wanted)
        {
            let error = Error::usage(what).at(format!("phases: {}", phases.len()));
            let error = error.at(format!("expected: {wanted} in `shrink.{key}`; found: {found}"));
            return Err(section.locate(key, error));
        }
        Ok(Shrink { phases, begin, lr, subnets })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.section("[shrink]");
        w.key("phases", self.phases.iter().map(|vary| vary.name()).collect::<Vec<_>>());
        w.key("begin", self.begin.iter().map(Duration::to_string).collect::<Vec<_>>());
        w.key("lr", self.lr.clone());
        w.key("subnets", self.subnets.iter().map(|&n| Value::Integer(n.into())).collect::<Vec<_>>());
    }
}
