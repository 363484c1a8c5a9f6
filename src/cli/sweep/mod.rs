//! `coppice sweep`: recipes with variants and seeds, one after another, and one table of what came of them.
//!
//! Runs lie in one folder, by name and seed. A finished one is not run again, a stopped one goes on, so that the same
//! command leads to the same table however often it is interrupted.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::resume::{self, Changes, is_complete, other_data, read_report};
use super::tune::Autotune;
use super::{Device, drive, print_json, say};
use crate::data::Dataset;
use crate::error::{Error, Kind, Result};
use crate::gpu::Gpu;
use crate::nn::presets::pair;
use crate::recipe::{Difference, Recipe};
use crate::store::folder::write_file_atomic;
use crate::train::RunFolder;

mod cases;
mod check;
mod results;

use cases::Case;
use results::Row;

#[derive(clap::Args)]
pub struct Sweep {
    /// Recipes: files, or names of built-in ones; with settings of its own: 'digits-dense -s run.epochs=3'
    #[arg(required = true)]
    recipes: Vec<String>,
    /// Seeds, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "1,2,3")]
    seeds: Vec<u64>,
    /// The folder of all runs; the same command goes on where it was stopped
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Set a key of every recipe
    #[arg(short = 's', long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// A row for each value, such as `--vary sparsity.method=sr-ste,mdgf`; several of these: every combination
    #[arg(long, value_name = "KEY=VALUE,VALUE")]
    vary: Vec<String>,
    /// Say which runs there are and which are done, and run nothing
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    autotune: Autotune,
    #[command(flatten)]
    device: Device,
    /// Say nothing but warnings and results
    #[arg(short, long)]
    quiet: bool,
    /// Print one JSON object, the last line of stdout
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print the table as Markdown
    #[arg(long)]
    markdown: bool,
    /// Write one line a run to a file
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

/// How far a run is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Absent,
    Begun,
    Done,
}

impl Sweep {
    pub fn run(&self) -> Result<()> {
        let mut seeds = self.seeds.clone();
        seeds.sort_unstable();
        if seeds.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Error::usage("a seed is named twice").at(format!("--seeds {:?}", self.seeds)));
        }
        let cases = cases::cases(&self.recipes, &self.set, &self.vary, &self.seeds)?;
        // What is there and does not fit stops the sweep before its first step.
        let mut todo = Vec::new();
        for case in &cases {
            for recipe in &case.recipes {
                todo.push(state(&self.path(case, recipe), recipe)?);
            }
        }
        if self.list {
            return self.show(&cases, &todo);
        }
        // Rows that are all done need no device.
        let gpu = todo.iter().any(|state| *state != State::Done).then(|| self.device.open()).transpose()?;
        gpu.as_ref().map_or(Ok(()), |gpu| check::check(gpu, &cases, &todo))?;
        let rows = self.go(gpu.as_ref(), &cases, &todo)?;
        if let Some(path) = &self.csv {
            write_file_atomic(path, results::csv(&rows).as_bytes())?;
        }
        if self.json {
            print_json(&results::json(&rows))?;
        } else if self.markdown {
            say(&results::markdown(&self.seeds, &rows))?;
        } else {
            say(&results::text(&self.seeds, &rows))?;
        }
        let broken = rows.iter().flat_map(|row| &row.reports).filter(|report| report.is_none()).count();
        match broken {
            0 => Ok(()),
            _ => Err(Error::new(Kind::Numbers, format!("the numbers of {broken} runs did not stay finite"))
                .at("the others are in the table")),
        }
    }

    fn path(&self, case: &Case, recipe: &Recipe) -> PathBuf {
        self.out.join(format!("{}-seed-{}", case.folder, recipe.run.seed))
    }

    fn go(&self, gpu: Option<&Gpu>, cases: &[Case], todo: &[State]) -> Result<Vec<Row>> {
        let signal = drive::signals()?;
        let options = drive::Options {
            quiet: self.quiet,
            autotune: self.autotune.effort(),
            signal: Some(signal.clone()),
            ..Default::default()
        };
        let mut rows = Vec::new();
        let mut number = 0;
        for case in cases {
            let mut reports = Vec::new();
            for recipe in &case.recipes {
                let (path, state) = (self.path(case, recipe), todo[number]);
                number += 1;
                if let (Some(gpu), true) = (gpu, state != State::Done) {
                    if !self.quiet {
                        let what = if state == State::Begun { ", goes on" } else { "" };
                        eprintln!("[{number}/{}] {}, seed {}{what}", todo.len(), case.label, recipe.run.seed);
                    }
                    let done = match state {
                        State::Begun => {
                            let device = |_: &_| Ok(gpu.clone());
                            resume::go_on(&path, device, &Changes::default(), &options).map(|_| ())
                        }
                        _ => {
                            let data = self.data(recipe, cases)?;
                            drive::start(gpu, recipe, &data, &path, &options).map(|_| ())
                        }
                    };
                    match done {
                        Err(error) if error.kind == Kind::Numbers => {
                            eprintln!("warning: {}", error.at(format!("run {}", path.display())));
                            reports.push(None);
                            continue;
                        }
                        done => done?,
                    }
                }
                reports.push(Some(read_report(&path)?));
                // Between runs, too.
                let number = signal.load(Ordering::Relaxed);
                if number != 0 {
                    let error = Error::new(Kind::Interrupted(number as i32), "stopped between two runs");
                    return Err(error.hint("the same command goes on from here"));
                }
            }
            rows.push(Row { label: case.label.clone(), seeds: self.seeds.clone(), reports });
        }
        Ok(rows)
    }

    /// The data of a run that begins.
    ///
    /// # Errors
    /// `Kind::Data` where runs that are there already have seen other data under that name.
    fn data(&self, recipe: &Recipe, cases: &[Case]) -> Result<Dataset> {
        let data = drive::data(recipe)?;
        let others = cases.iter().flat_map(|case| case.recipes.iter().map(move |other| (case, other)));
        for (case, other) in others.filter(|(_, other)| other.data == recipe.data) {
            let path = self.path(case, other);
            if path.exists() {
                let (_, meta) = RunFolder::read(&path)?;
                if meta.data_hash != data.hash {
                    return Err(other_data(&data, &meta)
                        .at(format!("run: {}", path.display()))
                        .hint("restore the data, or another --out"));
                }
            }
        }
        Ok(data)
    }

    fn show(&self, cases: &[Case], todo: &[State]) -> Result<()> {
        let runs = cases.iter().flat_map(|case| case.recipes.iter().map(move |recipe| (case, recipe)));
        let word = |state: &State| match state {
            State::Absent => "to do",
            State::Begun => "begun",
            State::Done => "done",
        };
        if self.json {
            let run = |((case, recipe), state): ((&Case, &Recipe), &State)| {
                let path = self.path(case, recipe);
                json!({ "recipe": case.label, "seed": recipe.run.seed, "run": path, "state": word(state) })
            };
            let all: Vec<Value> = runs.zip(todo).map(run).collect();
            return print_json(&json!({ "schema": 1, "runs": all }));
        }
        for ((case, recipe), state) in runs.zip(todo) {
            say(&format!("{}  {}, seed {}", word(state), case.label, recipe.run.seed))?;
        }
        Ok(())
    }
}

/// How far the run in a folder is.
///
/// # Errors
/// `Kind::FileSystem` where the folder has another run.
fn state(path: &Path, recipe: &Recipe) -> Result<State> {
    if !path.exists() {
        return Ok(State::Absent);
    }
    let (found, meta) = RunFolder::read(path)?;
    resume::refuse(path, &meta.differences(&found)?)?;
    // What has become a key since the run began has its default there; what a recipe leaves to the data, the run has found.
    let found = crate::train::resolve(&found)?;
    let source = pair::source(&found.model).unwrap_or(0);
    let asked = Recipe { model: pair::with_source(&recipe.model, source), ..recipe.clone() };
    let differences = found.differences(&asked);
    if !differences.is_empty() {
        let error = Error::new(Kind::FileSystem, format!("{} has a run of another recipe", path.display()));
        let line = |one: &Difference| format!("{}: {} there, {} asked for", one.key, one.then, one.now);
        let error = differences.iter().fold(error, |error, one| error.at(line(one)));
        return Err(error.hint("another --out, or remove that folder"));
    }
    let done = read_report(path).is_ok_and(|report| is_complete(&report, recipe));
    Ok(if done { State::Done } else { State::Begun })
}
