//! `[sparsity]`: the pruning method by name, how much, where and when.

use super::schedule::PruneSchedule;
use super::section::Section;
use super::settings::Settings;
use super::words;
use super::writer::Writer;
use crate::error::{Error, Result};

/// How a network is pruned; the registry of methods checks `method` and `settings`.
#[derive(Clone, Debug, PartialEq)]
pub struct Sparsity {
    /// `"none"` prunes nothing.
    pub method: String,
    /// Share of pruned weights at the end, 0 up to (not including) 1; 0 if the method is none.
    pub target: f64,
    /// Density at the start, above 0 up to 1.
    pub init: f64,
    pub distribution: Distribution,
    pub schedule: PruneSchedule,
    /// Whether pruned weights keep a value behind their mask.
    pub latent: bool,
    pub storage: Storage,
    /// Exceptions by layer; later ones win.
    pub rules: Vec<Rule>,
    /// All other keys.
    pub settings: Settings,
}

/// How one overall sparsity becomes one per tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    Uniform,
    /// Erdos-Renyi with kernel dimensions.
    Erk,
    /// Erdos-Renyi over channels only.
    Er,
    /// One threshold over all tensors.
    Global,
}

/// How a pruned weight is held in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// Dense values and one mask bit each.
    Masked,
}

/// One `[[sparsity.rule]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Over the names of parameters, for [`glob`](super::glob); written `match`.
    pub pattern: String,
    /// Left out of pruning altogether.
    pub dense: bool,
    /// A sparsity of its own, 0 up to (not including) 1.
    pub target: Option<f64>,
}

impl Distribution {
    pub const ALL: &[Distribution] =
        &[Distribution::Uniform, Distribution::Erk, Distribution::Er, Distribution::Global];

    /// As recipes write it.
    pub fn name(self) -> &'static str {
        match self {
            Distribution::Uniform => "uniform",
            Distribution::Erk => "erk",
            Distribution::Er => "er",
            Distribution::Global => "global",
        }
    }
}

impl Storage {
    pub const ALL: &[Storage] = &[Storage::Masked];

    /// As recipes write it.
    pub fn name(self) -> &'static str {
        match self {
            Storage::Masked => "masked",
        }
    }
}

const SHARE: &str = "a number from 0 up to, not including, 1";

fn is_share(x: f64) -> bool {
    (0.0..1.0).contains(&x)
}

impl Sparsity {
    /// Sparsity at the start.
    pub fn initial(&self) -> f64 {
        1.0 - self.init
    }

    pub(super) fn read(mut section: Section) -> Result<Sparsity> {
        let method = section.text("method")?.unwrap_or_else(|| "none".to_string());
        let target = section.number("target", SHARE, is_share)?;
        let target = match target {
            None if method != "none" => {
                let advice = format!("method \"{method}\" needs the share to prune, such as target = 0.9");
                return Err(section.missing("target").hint(advice));
            }
            Some(target) if method == "none" && target != 0.0 => {
                let error = Error::usage("a target needs a pruning method").at(format!(
                    "expected: no `sparsity.target`, or 0, with method \"none\"; found: {target}"
                ));
                let advice = "choose a method, such as method = \"gmp\"; `coppice ls methods` lists them";
                return Err(section.locate("target", error).hint(advice));
            }
            target => target.unwrap_or(0.0),
        };
        let init =
            section.number("init", "a density above 0 and up to 1", |x| x > 0.0 && x <= 1.0)?.unwrap_or(1.0);
        // Decimal fractions are not exact: 1 - 0.95 is a little more than 0.05.
        if 1.0 - init > target + 1e-9 {
            let error = Error::usage("the run would start sparser than it shall end")
                .at(format!("init = {init} is a density, thus sparsity {}; target = {target}", 1.0 - init));
            return Err(section.locate("init", error));
        }
        let sparsity = Sparsity {
            method,
            target,
            init,
            distribution: section
                .choice("distribution", "distribution", Distribution::ALL, Distribution::name)?
                .unwrap_or(Distribution::Global),
            schedule: PruneSchedule::read(section.section("schedule")?)?,
            latent: section.flag("latent", false)?,
            storage: read_storage(&mut section)?,
            rules: section.sections("rule")?.into_iter().map(Rule::read).collect::<Result<_>>()?,
            settings: section.rest(),
        };
        Ok(sparsity)
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.section("[sparsity]");
        w.key("method", self.method.as_str());
        w.key("target", self.target);
        w.key("init", self.init);
        w.key("distribution", self.distribution.name());
        w.key("latent", self.latent);
        w.key("storage", self.storage.name());
        w.keys(self.settings.values());
        self.schedule.write(w);
        for rule in &self.rules {
            w.section("[[sparsity.rule]]");
            w.key("match", rule.pattern.as_str());
            w.key("dense", rule.dense);
            if let Some(target) = rule.target {
                w.key("target", target);
            }
        }
    }
}

impl Rule {
    fn read(mut section: Section) -> Result<Rule> {
        let says_something = section.has("dense") || section.has("target");
        let pattern = section.text("match")?.ok_or_else(|| {
            section
                .missing("match")
                .hint("every [[sparsity.rule]] says which layers it is for: match = \"fc*\"")
        })?;
        let rule = Rule {
            pattern,
            dense: section.flag("dense", false)?,
            target: section.number("target", SHARE, is_share)?,
        };
        let refuse = |what: &str| {
            section.locate("match", Error::usage(what).at(format!("match = \"{}\"", rule.pattern)))
        };
        if rule.dense && rule.target.is_some() {
            return Err(refuse("a rule makes layers dense or gives them a target, not both"));
        }
        section.finish()?;
        if !says_something {
            return Err(refuse("a rule without effect").hint("add dense = true, or target = 0.5"));
        }
        Ok(rule)
    }
}

fn read_storage(section: &mut Section) -> Result<Storage> {
    // The two words are the plan's, so they deserve a better answer than "unknown".
    let planned = section.take("storage", "\"masked\"", |v| v.as_str().map(String::from))?;
    match planned.as_deref() {
        None => Ok(Storage::Masked),
        Some(word @ ("packed" | "auto")) => {
            let error = Error::usage(format!("storage \"{word}\" does not exist yet"))
                .at("only masked storage exists in this version");
            Err(section.locate("storage", error).hint("storage = \"masked\""))
        }
        Some(word) => {
            let named = words::named("storage", word, Storage::ALL, Storage::name);
            named.map_err(|error| section.locate("storage", error))
        }
    }
}
