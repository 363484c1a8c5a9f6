//! `[sparsity]`: the pruning method by name, how much, where and when.

use super::filters::Filters;
use super::rule::Rule;
use super::schedule::PruneSchedule;
use super::section::Section;
use super::settings::Settings;
use super::structure::{self, Structure};
use super::words;
use super::writer::Writer;
use crate::error::Result;

/// How a network is pruned; the registry of methods checks `method`, whether it has a target, and `settings`.
#[derive(Clone, Debug, PartialEq)]
pub struct Sparsity {
    /// `"none"` prunes nothing.
    pub method: String,
    /// Share of pruned weights at the end, 0 up to (not including) 1; the method's own where it is left out.
    pub target: Option<f64>,
    /// Density at the start, above 0 up to 1; the method's own where it is left out.
    pub init: Option<f64>,
    /// The method's own where it is left out.
    pub distribution: Option<Distribution>,
    /// Density that every layer keeps at least, 0 up to (not including) 1, where no rule says otherwise.
    pub min_density: f64,
    /// What is pruned together, where no rule says otherwise.
    pub pattern: Structure,
    /// How many inputs each output keeps, where a network begins sparse.
    pub fan_in: FanIn,
    /// What the first values of weights are scaled by there.
    pub scale: Scale,
    /// How filters are pruned, where the pattern is that.
    pub filters: Filters,
    pub schedule: PruneSchedule,
    /// Whether pruned weights keep a value behind their mask.
    pub latent: bool,
    pub storage: Storage,
    /// Whether an N:M pattern that leaves a shorter group at the end of rows is refused.
    pub strict: bool,
    /// Kinds of convolutions that stay dense, unless a rule for the layer says otherwise.
    pub keep_dense: Vec<KeepDense>,
    /// Exceptions by layer; later ones win.
    pub rules: Vec<Rule>,
    /// All other keys.
    pub settings: Settings,
}

/// A kind of convolution that papers leave dense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepDense {
    /// The first one of the network.
    FirstConvolution,
    /// Those of one channel a group: few weights, on which much depends (Zhu & Gupta 2017, 4.2).
    Depthwise,
}

impl KeepDense {
    pub const ALL: &[KeepDense] = &[KeepDense::FirstConvolution, KeepDense::Depthwise];

    /// As recipes write it.
    pub fn name(self) -> &'static str {
        match self {
            KeepDense::FirstConvolution => "first-convolution",
            KeepDense::Depthwise => "depthwise",
        }
    }
}

/// How one overall sparsity becomes one per tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    Uniform,
    /// The same for all but the first, which stays dense, and nothing makes up for it.
    UniformFirstDense,
    /// Erdos-Renyi with kernel dimensions.
    Erk,
    /// Erdos-Renyi over channels only.
    Er,
    /// One threshold over all tensors.
    Global,
}

/// How many inputs each output keeps at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum FanIn {
    /// As it comes, where weights are drawn from all of a tensor.
    #[default]
    Random,
    /// Log-normal numbers: `exp` of normal ones with this deviation, above 0 up to 10.
    LogNormal { sigma: f64 },
}

impl FanIn {
    const EXPECTED: &str = "\"random\", or \"log-normal:\" and a deviation above 0 and up to 10";

    fn parse(text: &str) -> Option<Self> {
        let sigma = |text: &str| text.parse::<f64>().ok().filter(|sigma| *sigma > 0.0 && *sigma <= 10.0);
        match text {
            "random" => Some(FanIn::Random),
            _ => text.strip_prefix("log-normal:").and_then(sigma).map(|sigma| FanIn::LogNormal { sigma }),
        }
    }
}

impl std::fmt::Display for FanIn {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            FanIn::Random => f.write_str("random"),
            FanIn::LogNormal { sigma } => write!(f, "log-normal:{sigma}"),
        }
    }
}

/// Which inputs of an output the scale of its first weights goes by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// All of them.
    #[default]
    Dense,
    /// Those that are kept.
    Kept,
}

impl Scale {
    pub const ALL: &[Scale] = &[Scale::Dense, Scale::Kept];

    /// As recipes write it.
    pub fn name(self) -> &'static str {
        match self {
            Scale::Dense => "dense",
            Scale::Kept => "kept",
        }
    }
}

/// How a pruned weight is held in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// Dense values and one mask bit each.
    Masked,
    /// Kept values and their places alone, as soon as something is pruned.
    Packed,
    /// Packed from the density on at which that was measured to be faster.
    Auto,
}

impl Distribution {
    pub const ALL: &[Distribution] = &[
        Distribution::Uniform,
        Distribution::Erk,
        Distribution::Er,
        Distribution::Global,
        Distribution::UniformFirstDense,
    ];

    /// As recipes write it.
    pub fn name(self) -> &'static str {
        match self {
            Distribution::Uniform => "uniform",
            Distribution::UniformFirstDense => "uniform-first-dense",
            Distribution::Erk => "erk",
            Distribution::Er => "er",
            Distribution::Global => "global",
        }
    }
}

impl Storage {
    pub const ALL: &[Storage] = &[Storage::Masked, Storage::Packed, Storage::Auto];

    /// As recipes write it.
    pub fn name(self) -> &'static str {
        match self {
            Storage::Masked => "masked",
            Storage::Packed => "packed",
            Storage::Auto => "auto",
        }
    }
}

pub(super) const SHARE: &str = "a number from 0 up to, not including, 1";

pub(super) fn is_share(x: f64) -> bool {
    (0.0..1.0).contains(&x)
}

impl Sparsity {
    /// Share of pruned weights at the end.
    pub fn target(&self) -> f64 {
        self.target.unwrap_or(0.0)
    }
    /// Sparsity at the start.
    pub fn initial(&self) -> f64 {
        1.0 - self.init.unwrap_or(1.0)
    }
    /// How the sparsity is spread over tensors.
    pub fn spread(&self) -> Distribution {
        self.distribution.unwrap_or(Distribution::Global)
    }

    /// No pruning at all.
    pub fn none() -> Sparsity {
        Sparsity {
            method: "none".into(),
            target: None,
            init: None,
            distribution: None,
            min_density: 0.0,
            pattern: Structure::Free,
            fan_in: FanIn::default(),
            scale: Scale::default(),
            filters: Filters::default(),
            schedule: PruneSchedule::default(),
            latent: false,
            storage: Storage::Auto,
            strict: false,
            keep_dense: vec![KeepDense::Depthwise],
            rules: Vec::new(),
            settings: Settings::default(),
        }
    }

    pub(super) fn read(mut section: Section) -> Result<Sparsity> {
        let pattern = read_structure(&mut section)?.unwrap_or_default();
        // Otherwise they are keys that nobody knows.
        let is_filter = pattern == Structure::Filter;
        let filters = is_filter.then(|| Filters::read(&mut section)).transpose()?.unwrap_or_default();
        let sparsity = Sparsity {
            method: section.text("method")?.unwrap_or_else(|| "none".to_string()),
            target: section.number("target", SHARE, is_share)?,
            init: section.number("init", "a density above 0 and up to 1", |x| x > 0.0 && x <= 1.0)?,
            distribution: section.choice(
                "distribution",
                "distribution",
                Distribution::ALL,
                Distribution::name,
            )?,
            min_density: section.number("min_density", SHARE, is_share)?.unwrap_or(0.0),
            pattern,
            fan_in: section
                .take("fan_in", FanIn::EXPECTED, |value| FanIn::parse(value.as_str()?))?
                .unwrap_or_default(),
            scale: section.choice("scale", "scale", Scale::ALL, Scale::name)?.unwrap_or_default(),
            filters,
            schedule: PruneSchedule::read(section.section("schedule")?)?,
            latent: section.flag("latent", false)?,
            storage: section
                .choice("storage", "storage", Storage::ALL, Storage::name)?
                .unwrap_or(Storage::Auto),
            strict: section.flag("strict", false)?,
            keep_dense: read_kinds(&mut section)?,
            rules: section.sections("rule")?.into_iter().map(Rule::read).collect::<Result<_>>()?,
            settings: section.rest(),
        };
        Ok(sparsity)
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.section("[sparsity]");
        w.key("method", self.method.as_str());
        if let Some(target) = self.target {
            w.key("target", target);
        }
        if let Some(init) = self.init {
            w.key("init", init);
        }
        if let Some(distribution) = self.distribution {
            w.key("distribution", distribution.name());
        }
        w.key("min_density", self.min_density);
        w.key("pattern", self.pattern.to_string());
        w.key("fan_in", self.fan_in.to_string());
        w.key("scale", self.scale.name());
        if self.pattern == Structure::Filter {
            self.filters.write(w);
        }
        w.key("latent", self.latent);
        w.key("storage", self.storage.name());
        w.key("strict", self.strict);
        w.key("keep_dense", self.keep_dense.iter().map(|kind| kind.name()).collect::<Vec<_>>());
        w.keys(self.settings.values());
        self.schedule.write(w);
        for rule in &self.rules {
            w.section("[[sparsity.rule]]");
            rule.write(w);
        }
    }
}

fn read_kinds(section: &mut Section) -> Result<Vec<KeepDense>> {
    let list = |value: &toml::Value| -> Option<Vec<String>> {
        value.as_array()?.iter().map(|word| word.as_str().map(String::from)).collect()
    };
    let Some(found) = section.take("keep_dense", "a list of words", list)? else {
        return Ok(Sparsity::none().keep_dense);
    };
    let kind = |word: &String| words::named("kind of convolution", word, KeepDense::ALL, KeepDense::name);
    let kinds: Result<_> = found.iter().map(kind).collect();
    kinds.map_err(|error| section.locate("keep_dense", error))
}

pub(super) fn read_structure(section: &mut Section) -> Result<Option<Structure>> {
    section.take("pattern", structure::EXPECTED, |value| value.as_str()?.parse().ok())
}
