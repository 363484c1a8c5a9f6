//! `[run]`, `[data]` and `[dump]`: how long, on what, and what is kept of it.

use super::duration::{self, Duration};
use super::section::{self, Section};
use super::settings::Settings;
use super::words;
use super::writer::Writer;
use crate::error::{Error, Result};

/// `[run]`: the length of a training run, and how often it speaks, is measured and is saved.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The name of the run's folder: letters, digits, `-`, `_` and `.`, the last not in front.
    pub name: String,
    /// Up to 2^63 - 1, where TOML's integers end.
    pub seed: u64,
    /// At least 1.
    pub epochs: u32,
    /// Steps in all, in place of epochs: of a text an epoch is long.
    pub steps: Option<u32>,
    /// A stage ends once the validation loss has not fallen in so many evaluations; `None` is never, written `"off"`.
    pub patience: Option<u32>,
    /// Samples of a batch, at least 1.
    pub batch: u32,
    /// Batches whose gradients make one update, at least 1.
    pub accumulate: u32,
    pub log_every: Duration,
    pub eval_every: Duration,
    pub checkpoint_every: Duration,
    /// How many of the last checkpoints are kept, at least 1.
    pub keep: u32,
    /// Whether kernel variants are timed on this device.
    pub autotune: bool,
    /// What packed products read activations and their gradients as; sums are f32 whatever this is.
    pub activations: Precision,
    /// Whether the backward pass computes most activations again, in place of keeping them: less memory, one more forward pass.
    pub recompute: bool,
    /// Whether a sparse run is compared with the dense network at its end.
    pub baseline: bool,
}

/// How many bits a number has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    F32,
    /// The upper half of an f32, rounded to nearest even.
    Bf16,
}

impl Precision {
    pub const ALL: &[Precision] = &[Precision::F32, Precision::Bf16];

    /// As recipes write it.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
        }
    }
}

impl Run {
    pub(super) fn read(mut section: Section, default_name: &str) -> Result<Run> {
        let name = section.take(
            "name",
            "1 to 100 letters, digits, `-`, `_` and `.`, the last not in front",
            |v| v.as_str().filter(|name| is_folder_name(name)).map(String::from),
        )?;
        let seed = section.take("seed", "a whole number from 0 to 9223372036854775807", |v| {
            v.as_integer().and_then(|i| u64::try_from(i).ok())
        })?;
        let run = Run {
            steps: steps(&mut section)?,
            name: name.unwrap_or_else(|| default_name.to_string()),
            seed: seed.unwrap_or(0),
            epochs: section.count("epochs", EPOCHS)?,
            patience: patience(&mut section)?,
            batch: section.count("batch", 128)?,
            accumulate: section.count("accumulate", 1)?,
            log_every: section.period("log_every", Duration::Steps(50))?,
            eval_every: section.period("eval_every", Duration::Epochs(1.0))?,
            checkpoint_every: section.period("checkpoint_every", Duration::Epochs(1.0))?,
            keep: section.count("keep", 2)?,
            autotune: section.flag("autotune", true)?,
            activations: section
                .choice("activations", "precision", Precision::ALL, Precision::name)?
                .unwrap_or(Precision::F32),
            recompute: section.flag("recompute", false)?,
            baseline: section.flag("baseline", true)?,
        };
        section.finish()?;
        Ok(run)
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.section("[run]");
        w.key("name", self.name.as_str());
        w.key("seed", self.seed as i64);
        match self.steps {
            Some(steps) => w.key("steps", steps),
            None => w.key("epochs", self.epochs),
        }
        write_patience(self.patience, w);
        w.key("batch", self.batch);
        w.key("accumulate", self.accumulate);
        w.key("log_every", self.log_every.to_string());
        w.key("eval_every", self.eval_every.to_string());
        w.key("checkpoint_every", self.checkpoint_every.to_string());
        w.key("keep", self.keep);
        w.key("autotune", self.autotune);
        w.key("activations", self.activations.name());
        w.key("recompute", self.recompute);
        w.key("baseline", self.baseline);
    }
}

/// The default of epochs.
pub(super) const EPOCHS: u32 = 10;

/// `steps`, which stand in place of `epochs`.
pub(super) fn steps(section: &mut Section) -> Result<Option<u32>> {
    let both = section.has("steps") && section.has("epochs");
    let steps = section.take("steps", "a whole number from 1 to 4294967295", section::count)?;
    if both {
        let [steps, epochs] = ["steps", "epochs"].map(|key| section.path_of(key));
        let error = Error::usage(format!("`{steps}` and `{epochs}` both say how long a run is"));
        return Err(section.locate("steps", error).hint("one of them"));
    }
    Ok(steps)
}

pub(super) fn patience(section: &mut Section) -> Result<Option<u32>> {
    let expected = "\"off\", or a whole number of evaluations, from 1 to 4294967295";
    let patience = section.take("patience", expected, |value| match value.as_str() {
        Some("off") => Some(None),
        _ => section::count(value).map(Some),
    })?;
    Ok(patience.flatten())
}

pub(super) fn write_patience(patience: Option<u32>, w: &mut Writer) {
    match patience {
        Some(evaluations) => w.key("patience", evaluations),
        None => w.key("patience", "off"),
    }
}

/// Whether a name is a folder's on every system, and stays within the folder above it.
pub(super) fn is_folder_name(name: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= 100 && !name.starts_with('.') && name.chars().all(fine)
}

/// `[data]`: the data set, by its name in the registry of data sets.
#[derive(Clone, Debug, PartialEq)]
pub struct Data {
    pub name: String,
    /// Share of the training set that is held out, 0 up to (not including) 1; 0 holds nothing out.
    pub validation: f64,
    /// Its other keys, which the data set checks.
    pub settings: Settings,
}

impl Data {
    pub(super) fn read(mut section: Section) -> Result<Data> {
        let name = section.text("name")?.ok_or_else(|| {
            section.missing("name").hint("name a data set under [data]; `coppice ls data` lists them")
        })?;
        let validation = section
            .number("validation", "a number from 0 up to, not including, 1", |x| (0.0..1.0).contains(&x))?;
        Ok(Data { name, validation: validation.unwrap_or(0.1), settings: section.rest() })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.section("[data]");
        w.key("name", self.name.as_str());
        w.key("validation", self.validation);
        w.keys(self.settings.values());
    }
}

/// `[dump]`: tensors that are written out during the run.
#[derive(Clone, Debug, PartialEq)]
pub struct Dump {
    /// `None` is off, written `"off"`.
    pub every: Option<Duration>,
    /// Patterns over the names of parameters, for [`glob`](super::glob).
    pub tensors: Vec<String>,
    pub what: Vec<What>,
}

/// What of a parameter is written out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Weight,
    Mask,
    Grad,
    Score,
}

impl What {
    pub const ALL: &[What] = &[What::Weight, What::Mask, What::Grad, What::Score];

    /// As recipes write it.
    pub fn name(self) -> &'static str {
        match self {
            What::Weight => "weight",
            What::Mask => "mask",
            What::Grad => "grad",
            What::Score => "score",
        }
    }
}

impl Dump {
    pub(super) fn read(mut section: Section) -> Result<Dump> {
        let expected = format!("\"off\", or {}, more than 0", duration::EXPECTED);
        let every = section.take("every", &expected, |v| match v.as_str() {
            Some("off") => Some(None),
            _ => Duration::from_value(v).filter(|d| !d.is_zero()).map(Some),
        })?;
        let list = |v: &toml::Value| -> Option<Vec<String>> {
            let words: Option<Vec<String>> =
                v.as_array()?.iter().map(|t| t.as_str().map(String::from)).collect();
            words.filter(|words| !words.is_empty())
        };
        let tensors = section.take("tensors", "a list of patterns, not empty", list)?;
        let what = match section.take("what", "a list of words, not empty", list)? {
            None => vec![What::Weight, What::Mask],
            Some(words) => {
                let what = |word: &String| words::named("part of a tensor", word, What::ALL, What::name);
                let what: Result<_> = words.iter().map(what).collect();
                what.map_err(|error| section.locate("what", error))?
            }
        };
        section.finish()?;
        Ok(Dump { every: every.flatten(), tensors: tensors.unwrap_or_else(|| vec!["*".to_string()]), what })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.section("[dump]");
        w.key("every", self.every.map_or("off".to_string(), |every| every.to_string()));
        w.key("tensors", self.tensors.clone());
        w.key("what", self.what.iter().map(|what| what.name()).collect::<Vec<_>>());
    }
}
