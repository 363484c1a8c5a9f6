//! A recipe: everything a run is made from, read from TOML into types, once and strictly.
//!
//! Unknown keys, wrong types and values out of range are errors that say where and name the nearest known
//! word. Keys that belong to an optimizer, a layer or a method stay [`Settings`] until their registry checks
//! them.

mod anneal;
mod augment;
mod built_in;
mod difference;
mod distill;
mod duration;
mod filters;
mod finish;
mod learning_rate;
mod log;
mod loss;
mod model;
mod optim;
mod paths;
mod rule;
mod run;
mod schedule;
mod section;
mod settings;
mod shrink;
mod source;
mod sparsity;
mod stage;
mod structure;
#[cfg(test)]
mod tests;
mod unfreeze;
mod words;
mod writer;

use std::path::Path;
use std::sync::Arc;

pub use anneal::{
    cosine, drop_constant, drop_cosine, drop_exponential, jaxpruner_polynomial, polynomial, progress,
};
pub use augment::Augment;
pub use built_in::{BUILT_IN, built_in};
pub use difference::Difference;
pub use distill::Distill;
pub use duration::Duration;
pub use filters::{FilterScore, Filters};
pub use finish::Finish;
pub use learning_rate::{LrSchedule, Shape};
pub use log::Logging;
pub use loss::Loss;
pub use model::{Layer, Model, Network, Output};
pub use optim::Optim;
pub use paths::{anchored, anchored_here, with_path};
pub use rule::{KeepPart, Rule};
pub use run::{Data, Dump, Precision, Run, What};
pub use schedule::{Curve, PruneSchedule};
pub use settings::Settings;
pub use shrink::{Shrink, Vary};
pub use sparsity::{Distribution, FanIn, KeepDense, Scale, Sparsity, Storage};
pub use stage::Stage;
pub use structure::Structure;
pub use unfreeze::Unfreeze;
pub use words::{glob, named, nearest, unknown};

use crate::error::{Error, Result};
use section::Section;
use source::Places;
use writer::Writer;

/// The tables of a recipe.
const TABLES: [&str; 14] = [
    "run", "data", "augment", "model", "loss", "optim", "sparsity", "distill", "unfreeze", "shrink",
    "finish", "dump", "log", "stage",
];

/// A run before it is run; every default is filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    pub run: Run,
    pub data: Data,
    pub augment: Augment,
    pub model: Model,
    pub loss: Loss,
    pub optim: Optim,
    pub sparsity: Sparsity,
    pub distill: Distill,
    pub unfreeze: Unfreeze,
    pub shrink: Shrink,
    pub finish: Finish,
    pub dump: Dump,
    pub log: Logging,
    /// What comes after the first stage, which all other tables describe.
    pub stages: Vec<Stage>,
}

impl Recipe {
    /// Reads a recipe. `origin` is what messages call it: a file's path, or a built-in recipe's name. The
    /// name of the run defaults to the stem of `origin`, or to "run". `overrides` are `key.path=value`, laid
    /// over the text. Relative paths stay so.
    ///
    /// Errors are of kind `Usage`.
    pub fn parse(text: &str, origin: &str, overrides: &[String]) -> Result<Recipe> {
        let (table, places) = source::read(text, origin, overrides)?;
        Recipe::read(table, origin, Arc::new(places))
    }

    /// As [`Recipe::parse`], with absolute paths: relative ones in the text count from `folder`, those of overrides from
    /// the folder that the shell is in.
    fn parse_in(folder: &Path, text: &str, origin: &str, overrides: &[String]) -> Result<Recipe> {
        let (table, places) = source::read(text, origin, overrides)?;
        let places = Arc::new(places);
        let mut recipe = Recipe::read(table, origin, places.clone())?;
        let name = &recipe.data.name;
        recipe.data.name =
            if places.is_override("data.name") { anchored_here(name)? } else { anchored(name, folder)? };
        let path = recipe.data.settings.values().get(paths::PATH_KEY).and_then(toml::Value::as_str);
        // An empty one is refused where the data set reads its keys.
        if let Some(path) = path.filter(|path| !path.is_empty()) {
            let is_here = places.is_override(&format!("data.{}", paths::PATH_KEY));
            let whole = paths::absolute(path, if is_here { Path::new("") } else { folder })?;
            recipe.data.settings = recipe.data.settings.with(paths::PATH_KEY, whole.into());
        }
        Ok(recipe)
    }

    fn read(table: toml::Table, origin: &str, places: Arc<Places>) -> Result<Recipe> {
        let mut root = Section::root(table, places);
        // Before what is missing of them: a table under another name lacks nothing but its name.
        root.only(&TABLES)?;
        let recipe = Recipe {
            run: Run::read(root.section("run")?, &default_name(origin))?,
            data: Data::read(root.section("data")?)?,
            augment: Augment::read(root.section("augment")?)?,
            model: Model::read(root.section("model")?)?,
            loss: Loss::read(root.section("loss")?)?,
            optim: Optim::read(root.section("optim")?)?,
            sparsity: Sparsity::read(root.section("sparsity")?)?,
            distill: Distill::read(root.section("distill")?)?,
            unfreeze: Unfreeze::read(root.section("unfreeze")?)?,
            shrink: Shrink::read(root.section("shrink")?)?,
            finish: Finish::read(root.section("finish")?)?,
            dump: Dump::read(root.section("dump")?)?,
            log: Logging::read(root.section("log")?)?,
            stages: root.sections("stage")?.into_iter().map(Stage::read).collect::<Result<_>>()?,
        };
        root.finish()?;
        Ok(recipe)
    }

    /// Reads a recipe from a file. Relative paths in it count from its folder, those of overrides from the folder that the
    /// shell is in; they become absolute. A file that is not there is an error of kind `Usage`, one that cannot be read
    /// of kind `FileSystem`.
    pub fn load(path: &Path, overrides: &[String]) -> Result<Recipe> {
        let bytes = std::fs::read(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => absent(path),
            _ => Error::file("read", path, error),
        })?;
        let text = String::from_utf8(bytes)
            .map_err(|e| Error::usage(format!("{} is not text", path.display())).at(e.to_string()))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Recipe::parse_in(folder, &text, &path.display().to_string(), overrides)
    }

    /// A built-in recipe by its name, or else a file by its path.
    pub fn find(name_or_path: &str, overrides: &[String]) -> Result<Recipe> {
        match built_in(name_or_path) {
            Some(text) => Recipe::parse_in(Path::new(""), text, name_or_path, overrides),
            None => Recipe::load(Path::new(name_or_path), overrides),
        }
    }

    /// The recipe as resolved: every key, also those left to their defaults. Reading it gives an equal
    /// recipe.
    pub fn to_toml(&self) -> String {
        let mut w = Writer::default();
        self.run.write(&mut w);
        self.data.write(&mut w);
        self.augment.write(&mut w);
        self.model.write(&mut w);
        self.loss.write(&mut w);
        self.optim.write(&mut w);
        self.sparsity.write(&mut w);
        self.distill.write(&mut w);
        self.unfreeze.write(&mut w);
        self.shrink.write(&mut w);
        self.finish.write(&mut w);
        self.dump.write(&mut w);
        self.log.write(&mut w);
        self.stages.iter().for_each(|stage| stage.write(&mut w));
        w.finish()
    }
}

fn default_name(origin: &str) -> String {
    let file = origin.rsplit(['/', '\\']).next().unwrap_or(origin);
    let stem = file.strip_suffix(".toml").unwrap_or(file);
    if run::is_folder_name(stem) { stem.to_string() } else { "run".to_string() }
}

fn absent(path: &Path) -> Error {
    let error = Error::usage(format!("no recipe at {}", path.display()));
    let names = BUILT_IN.iter().map(|(name, _)| *name);
    match nearest(&path.display().to_string(), names.clone()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.at(format!("built in: {}", names.collect::<Vec<_>>().join(", "))),
    }
}
