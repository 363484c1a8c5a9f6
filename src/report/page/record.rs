//! What a run's folder says about the run.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::{Error, Result};
use crate::recipe::Recipe;
use crate::report::files;
use crate::report::history::{self, History};
use crate::report::journal;
use crate::report::load::load_any;
use crate::store::Arrays;
use crate::store::folder::failed;
use crate::train::{Initial, RunFolder};

/// A run, finished or not.
pub struct Record {
    pub path: PathBuf,
    /// The name of its folder.
    pub name: String,
    pub recipe: Recipe,
    /// The file of its folder with the weights that it began with, if they were given, and the sum over them.
    pub initial: Option<(PathBuf, String)>,
    /// `report.json`, once it is done.
    pub report: Option<Value>,
    /// The lines of `metrics.jsonl`.
    pub metrics: Vec<Value>,
    /// Where it prunes.
    pub history: Option<History>,
    /// Of the last checkpoint.
    pub tensors: Option<Arrays>,
}

impl Record {
    /// Reads the run in this folder. With it come warnings: what is damaged is left out.
    ///
    /// # Errors
    /// `Kind::Checkpoint` where the folder is none of a run, or nothing in it can be read.
    pub fn read(path: &Path) -> Result<(Self, Vec<Error>)> {
        let (recipe, meta) = RunFolder::read(path)?;
        let mut warnings = Vec::new();
        let file = path.join("report.json");
        let report = match fs::read_to_string(&file) {
            Ok(text) => Some(serde_json::from_str(&text).map_err(|e| {
                Error::checkpoint(format!("{} is damaged", file.display())).at(e.to_string())
            })?),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
            Err(e) => return Err(failed("read", &file, e)),
        };
        let metrics = files::read_lines(&path.join("metrics.jsonl"))?;
        let mut history = None;
        if path.join(journal::FILE).is_file() {
            let (found, warning) = history::history(path, None)?;
            (history, warnings) = (Some(found), warning.into_iter().collect());
        }
        let tensors = match path.join("ckpt").is_dir().then(|| load_any(path)) {
            Some(Ok((arrays, damaged))) => {
                warnings.extend(damaged);
                Some(arrays)
            }
            Some(Err(error)) => {
                warnings.push(error);
                None
            }
            None => None,
        };
        let name = fs::canonicalize(path).map_err(|e| failed("read", path, e))?;
        let name = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let initial = meta.initial.map(|origin| (path.join(Initial::FILE), origin.sha256));
        let path = path.to_path_buf();
        Ok((Self { path, name, recipe, initial, report, metrics, history, tensors }, warnings))
    }

    /// A number of `report.json`.
    pub fn number(&self, pointer: &str) -> Option<f64> {
        self.report.as_ref()?.pointer(pointer)?.as_f64()
    }

    /// Whether it is asked at each step of a sequence, and judged by its loss.
    pub fn is_language(&self) -> bool {
        self.metrics.iter().any(|line| line["language"].is_object())
    }

    /// A figure over steps: of lines of this kind and, of evaluations, this part.
    pub fn over_steps(&self, kind: &str, part: Option<&str>, figure: &str) -> Vec<(f64, f64)> {
        let fits = |line: &&Value| line["kind"] == kind && part.is_none_or(|part| line["part"] == part);
        let point = |line: &Value| Some((line["step"].as_f64()?, line[figure].as_f64()?));
        self.metrics.iter().filter(fits).filter_map(point).collect()
    }

    /// The part that is looked at while the run goes on.
    pub fn watched(&self) -> &'static str {
        let is_held_out = |line: &Value| line["part"] == "validation";
        if self.metrics.iter().any(is_held_out) { "validation" } else { "test" }
    }

    /// Steps done, as far as is known.
    pub fn steps(&self) -> u64 {
        self.metrics.iter().filter_map(|line| line["step"].as_u64()).max().unwrap_or(0)
    }
}
