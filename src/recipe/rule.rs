//! `[[sparsity.rule]]`: exceptions by the names of parameters.

use super::section::{self, Section};
use super::sparsity::{SHARE, is_share, read_structure};
use super::structure::Structure;
use super::writer::Writer;
use crate::error::{Error, Result};

/// One `[[sparsity.rule]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Over the names of parameters, for [`glob`](super::glob); written `match`.
    pub matches: String,
    /// Left out of pruning altogether.
    pub dense: bool,
    /// A sparsity of its own, 0 up to (not including) 1.
    pub target: Option<f64>,
    /// What is pruned together.
    pub pattern: Option<Structure>,
    /// Weights that are kept in any case.
    pub keep: Option<KeepPart>,
    /// In how many equal parts of the outputs, 2 or more, the same weights are kept.
    pub alike: Option<u32>,
}

/// A part of a weight that a rule keeps whatever becomes of the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepPart {
    /// Of a recurrent weight the diagonal of each gate: what a unit takes of itself.
    Diagonal,
}

impl KeepPart {
    pub const ALL: &[KeepPart] = &[KeepPart::Diagonal];

    /// As recipes write it.
    pub fn name(self) -> &'static str {
        match self {
            KeepPart::Diagonal => "diagonal",
        }
    }
}

impl Rule {
    /// Leaves these parameters out of pruning.
    pub fn dense(matches: &str) -> Self {
        Self {
            matches: matches.to_string(),
            dense: true,
            target: None,
            pattern: None,
            keep: None,
            alike: None,
        }
    }

    pub(super) fn read(mut section: Section) -> Result<Rule> {
        let says_something =
            ["dense", "target", "pattern", "keep", "alike"].iter().any(|key| section.has(key));
        let matches = section.text("match")?.ok_or_else(|| {
            section
                .missing("match")
                .hint("every [[sparsity.rule]] says which layers it is for: match = \"fc*\"")
        })?;
        let rule = Rule {
            matches,
            dense: section.flag("dense", false)?,
            target: section.number("target", SHARE, is_share)?,
            pattern: read_structure(&mut section)?,
            keep: section.choice("keep", "part of a weight", KeepPart::ALL, KeepPart::name)?,
            alike: section.take("alike", "a number of parts, 2 or more", |value| {
                section::count(value).filter(|&parts| parts >= 2)
            })?,
        };
        let refuse = |what: &str| {
            section.locate("match", Error::usage(what).at(format!("match = \"{}\"", rule.matches)))
        };
        let prunes =
            [rule.target.is_some(), rule.pattern.is_some(), rule.keep.is_some(), rule.alike.is_some()];
        if rule.dense && prunes.contains(&true) {
            return Err(refuse("a rule makes layers dense or says how they are pruned, not both"));
        }
        if let (Some(_), Some(Structure::Groups { .. })) = (rule.target, rule.pattern) {
            return Err(refuse("an N:M pattern has its own sparsity: a rule has one or a target, not both"));
        }
        if rule.pattern == Some(Structure::Filter) {
            let error = refuse("filters are pruned in the whole network: a rule cannot ask for them");
            return Err(
                error.hint("pattern = \"filter\" in [sparsity], and a rule with dense = true or a target")
            );
        }
        section.finish()?;
        if !says_something {
            return Err(refuse("a rule without effect").hint("add dense = true, or target = 0.5"));
        }
        Ok(rule)
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.key("match", self.matches.as_str());
        w.key("dense", self.dense);
        if let Some(target) = self.target {
            w.key("target", target);
        }
        if let Some(pattern) = self.pattern {
            w.key("pattern", pattern.to_string());
        }
        if let Some(keep) = self.keep {
            w.key("keep", keep.name());
        }
        if let Some(alike) = self.alike {
            w.key("alike", alike);
        }
    }
}
