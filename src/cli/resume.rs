//! `coppice resume`: goes on with a run from its last good checkpoint.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::train::Common;
use super::{drive, print_json, say};
use crate::data::{self, Dataset, Vocabulary};
use crate::error::{Error, Kind, Result};
use crate::gpu::{Choice, Gpu, Identity};
use crate::recipe::{Difference, Recipe, anchored_here};
use crate::train::checkpoint::{self, Snapshot, Which};
use crate::train::{Edit, Facts, Meta, RunFolder, Session, Summary, vocabulary};

#[derive(clap::Args)]
pub struct Resume {
    /// The folder of a run
    run: PathBuf,
    /// The device; by default the one of the run, if it is there
    #[arg(long, value_name = "D")]
    device: Option<String>,
    #[command(flatten)]
    changes: Changes,
    #[command(flatten)]
    common: Common,
}

/// What may have changed since a run was stopped.
#[derive(clap::Args, Default)]
pub struct Changes {
    /// Where the run's data is now, such as idx:DIR; it is recognised by its hash
    #[arg(long, value_name = "D")]
    data: Option<String>,
    /// Go on although config.toml or the data was changed; the run's meta.json says what
    #[arg(long)]
    accept_changes: bool,
}

/// What came of a run that was to go on.
pub enum Outcome {
    Trained(Box<Summary>),
    /// There was nothing left to do: its report.
    Done(Value),
}

impl Resume {
    pub fn run(&self) -> Result<()> {
        let device = |meta: &Meta| match &self.device {
            Some(device) => Gpu::open(&device.parse()?),
            None => same_device(&meta.device),
        };
        match go_on(&self.run, device, &self.changes, &self.common.options())? {
            Outcome::Trained(summary) => self.common.report(&summary),
            Outcome::Done(report) if self.common.json => print_json(&report),
            Outcome::Done(report) => say(&done(&report)),
        }
    }
}

fn done(report: &Value) -> String {
    let number = |key: &str| report[key].as_f64().unwrap_or(f64::NAN);
    let judged = match report["language"].is_object() {
        true => format!("test loss {:.4}", number("test_loss")),
        false => format!("test accuracy {:.2} %", number("test_accuracy") * 100.0),
    };
    let digest = report["digest"].as_str().unwrap_or_default();
    format!("the run is done: {} steps, {judged}\ndigest {digest}", report["steps"])
}

/// Goes on with the run in a folder, from its last good checkpoint. Nothing is touched where it is done.
pub fn go_on(
    path: &Path,
    device: impl FnOnce(&Meta) -> Result<Gpu>,
    changes: &Changes,
    options: &drive::Options,
) -> Result<Outcome> {
    let (folder, mut recipe, mut meta) = RunFolder::open(path)?;
    // Other data is read by the tokens that the network knows.
    let known = if changes.accept_changes { known(&recipe, &meta)? } else { None };
    if let Some(data) = &changes.data {
        recipe.data.name = anchored_here(data)?;
        recipe.data.settings = data::fitting(&recipe.data.name, &recipe.data.settings);
    }
    let mut differences = meta.differences(&recipe)?;
    if !changes.accept_changes {
        refuse(path, &differences)?;
    }
    let found = checkpoint::load(path, Which::Last);
    if differences.is_empty()
        && let Ok((snapshot, _)) = &found
        && let Some(report) = report_of(path, &recipe, snapshot, options.max_steps)
    {
        return Ok(Outcome::Done(report));
    }
    let data = drive::data_as(&recipe, known.as_ref()).map_err(|e| moved(e, changes))?;
    if data.hash != meta.data_hash {
        if !changes.accept_changes {
            return Err(other_data(&data, &meta).hint(
                "restore the data, --data D where it is now, or --accept-changes to go on with other data",
            ));
        }
        let (then, now) = (meta.data_hash.clone(), data.hash.clone());
        differences.push(Difference { key: "data (SHA-256)".into(), then, now });
    }
    let mut warnings: Vec<Error> = differences.iter().map(accepted).collect();
    let gpu = device(&meta)?;
    warnings.extend(elsewhere(&meta, gpu.identity()));
    gpu.forget_peak(); // of runs before this one
    let variants = meta.variants.clone();
    let initial = folder.initial(&meta)?;
    let begin = || Session::starting_from(&gpu, &recipe, &data, variants, initial.as_ref());
    let mut session = drive::build(&gpu, options.quiet, begin)?;
    match found {
        Ok((snapshot, damaged)) => {
            warnings.extend(damaged);
            session.restore(&snapshot)?;
            if let Some(pruner) = session.pruner.as_ref().filter(|_| !differences.is_empty()) {
                pruner.refuse_growth(session.step, &session.model.params)?;
            }
        }
        Err(_) if checkpoint::list(path)?.is_empty() => {
            warnings.push(Error::checkpoint(
                "the run was stopped before its first checkpoint: it begins at step 0",
            ));
        }
        Err(error) => return Err(error),
    }
    let step = session.steps_done();
    meta.changes.extend(differences.into_iter().map(|difference| Edit { step, difference }));
    meta.data_hash = data.hash.clone();
    meta.data = Some(Facts::of(&data));
    folder.write(&session.whole, &meta)?;
    let summary = drive::go(session, &data, &folder, options, warnings)?;
    Ok(Outcome::Trained(Box::new(summary)))
}

/// The tokens that the network of a run knows, if it reads any; older runs do not say.
///
/// # Errors
/// Those of building the network.
pub fn known(recipe: &Recipe, meta: &Meta) -> Result<Option<Vocabulary>> {
    meta.data.as_ref().map_or(Ok(None), |facts| vocabulary(recipe, facts))
}

/// Refuses a recipe that was edited since the run began.
///
/// # Errors
/// `Kind::Usage`, with each key that differs.
pub fn refuse(run: &Path, differences: &[Difference]) -> Result<()> {
    if differences.is_empty() {
        return Ok(());
    }
    let file = run.join("config.toml");
    let error = Error::usage(format!("{} was changed since the run was trained with it", file.display()));
    let error = differences.iter().fold(error, |error, one| error.at(one.to_string()));
    Err(error.hint("undo that, or --accept-changes: meta.json will say what was changed, and when"))
}

/// What is said where data has another hash than that of the run.
pub fn other_data(data: &Dataset, meta: &Meta) -> Error {
    Error::data(format!("data set `{}` is not what this run was trained on", data.name))
        .at(format!("expected: SHA-256 {}; found: {}", meta.data_hash, data.hash))
}

fn moved(error: Error, changes: &Changes) -> Error {
    match changes.data {
        None if error.kind == Kind::Data => error.hint("--data D says where the run's data is now"),
        _ => error,
    }
}

fn accepted(difference: &Difference) -> Error {
    Error::usage("the run goes on with a change").at(difference.to_string())
}

/// Warnings where a run goes on with another device or program.
fn elsewhere(meta: &Meta, identity: &Identity) -> Vec<Error> {
    let version = env!("CARGO_PKG_VERSION");
    let all = [
        ("adapter", &meta.device.adapter[..], &identity.adapter[..]),
        ("backend", &meta.device.backend, &identity.backend),
        ("driver", &meta.device.driver, &identity.driver),
        ("version of this program", &meta.version, version),
    ];
    let differs = all.into_iter().filter(|(_, then, now)| then != now);
    let warning = |(what, then, now)| {
        Error::new(Kind::Device, format!("the run goes on with another {what}: its bits may differ"))
            .at(format!("then: {then}; now: {now}"))
    };
    differs.map(warning).collect()
}

/// The report of a run that has nothing left to do: it belongs to the last checkpoint, and that is the end, or as far as
/// the run is to go. A dense network that is to stand beside it is there.
fn report_of(path: &Path, recipe: &Recipe, last: &Snapshot, max_steps: Option<u64>) -> Option<Value> {
    let report = read_report(path).ok()?;
    let is_of_last = report["digest"] == *last.digest && report["steps"] == last.step;
    let stops = max_steps.is_some_and(|most| last.step >= most);
    (is_of_last && (stops || is_complete(&report, recipe))).then_some(report)
}

/// Whether a report is that of a run's end, with all that belongs to it.
pub fn is_complete(report: &Value, recipe: &Recipe) -> bool {
    let last = recipe.last_stage();
    let may_end_early = recipe.stage_count() > 1 || recipe.run.patience.is_some();
    let is_end = match recipe.run.steps {
        _ if may_end_early => report["done"] == true,
        Some(steps) => report["steps"].as_u64() >= Some(u64::from(steps)),
        None => report["epochs"].as_f64() >= Some(f64::from(recipe.run.epochs)),
    };
    let compares = recipe.run.baseline && last.sparsity.method != "none";
    is_end && (!compares || !report["dense"].is_null() || !report["dense_counted"].is_null())
}

/// The report in a run's folder.
pub fn read_report(path: &Path) -> Result<Value> {
    let file = path.join("report.json");
    let text = std::fs::read_to_string(&file).map_err(|e| Error::file("read", &file, e))?;
    serde_json::from_str(&text)
        .map_err(|e| Error::checkpoint(format!("{} is damaged", file.display())).at(e.to_string()))
}

/// The device that a run was trained on, or the best one where that is gone.
fn same_device(then: &Identity) -> Result<Gpu> {
    if then.backend == "twin" {
        return Ok(Gpu::twin());
    }
    let same = |a: &crate::gpu::Adapter| a.name() == then.adapter && a.backend() == then.backend;
    match crate::gpu::adapters().iter().find(|adapter| same(adapter)) {
        Some(adapter) => Gpu::open(&Choice::Index(adapter.index)),
        None => Gpu::open(&Choice::Auto),
    }
}
