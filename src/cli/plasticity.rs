//! `coppice plasticity`: how well a network recovers from being pruned, by when and by how much it was.
//!
//! Liu et al., 2021, "Sparse Training via Boosting Pruning Plasticity with Neuroregeneration", Section 3: a dense run
//! is pruned once at some epoch and trained on, the learning rate along the schedule of the run. Plasticity is the test
//! accuracy then less that before pruning. Beside it stands what the dense run gained over the same epochs.
//!
//! With regrowth by gradient, the pruned network drops a share of what it kept and grows as many where the gradient is
//! largest, tensor by tensor, as a step of GraNet does, so that it keeps as many weights as without. As the authors'
//! functions do (`as-lost`), each tensor grows as many as it lost, at 0: of a dense network that is all of them, so that
//! such a copy is dense again, and compared with sparse ones.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::tune::{self, Autotune};
use super::{Device, RecipeArgs, cache, drive, print_json, say};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::recipe::Recipe;
use crate::store::folder::write_file_atomic;
use crate::train::checkpoint::Snapshot;
use crate::train::{Part, Session};

mod tables;

use tables::{csv, markdown, plot, text};

const REGROW: [&str; 3] = ["none", "gradient", AS_LOST];
const AS_LOST: &str = "as-lost";
/// What is said beside figures of such copies.
const UNEQUAL: &str = "as-lost: all that was pruned grew again, at 0; these copies are dense, and not as sparse as those \
                       that they stand beside";

#[derive(clap::Args)]
pub struct Plasticity {
    #[command(flatten)]
    recipe: RecipeArgs,
    /// After which epochs the dense run is pruned
    #[arg(long, value_name = "EPOCHS", value_delimiter = ',', required = true)]
    at: Vec<u32>,
    /// How much of it: sparsities above 0 and below 1
    #[arg(long, value_name = "RATES", value_delimiter = ',', default_value = "0.5,0.8,0.9,0.98")]
    rates: Vec<f64>,
    /// For how many more epochs it trains then
    #[arg(long = "for", value_name = "EPOCHS", default_value_t = 2)]
    more: u32,
    /// The smallest magnitudes of each tensor, or of all together
    #[arg(long, value_delimiter = ',', default_value = "uniform", value_parser = ["uniform", "global"])]
    distribution: Vec<String>,
    /// What is regrown: a share of what is kept, by gradient; or as many as were lost, at 0, which leaves no sparsity
    #[arg(long, value_delimiter = ',', default_value = "none,gradient", value_parser = REGROW)]
    regrow: Vec<String>,
    /// With regrowth by gradient: the share of kept weights that is dropped and grown elsewhere; 0.5 unless given
    #[arg(long, value_name = "SHARE")]
    share: Option<f64>,
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
    /// Print a table as Markdown: one row a rate, regrowth in a column
    #[arg(long)]
    markdown: bool,
    /// Write one line a pruned network to a file
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Draw plasticity over the epoch of pruning, one line a rate, as SVG
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

/// One pruned network. Accuracies are those on the test part, 0 to 1.
#[derive(Clone, Debug, serde::Serialize)]
struct Branch {
    /// Epochs before pruning.
    at: u32,
    rate: f64,
    distribution: String,
    regrow: String,
    kept: usize,
    total: usize,
    /// The learning rate of the first step after pruning.
    learning_rate: f64,
    t_pre: f64,
    t_contrast: f64,
    /// `t_contrast - t_pre`.
    plasticity: f64,
    /// The dense run after the same number of epochs.
    t_dense: f64,
}

#[derive(serde::Serialize)]
struct Report<'a> {
    schema: u32,
    recipe: &'a str,
    seed: u64,
    epochs: u32,
    /// Epochs after pruning.
    r#for: u32,
    /// Where weights are regrown by gradient.
    share: Option<f64>,
    device: &'a crate::gpu::Identity,
    branches: &'a [Branch],
    notes: &'a [&'static str],
}

impl Plasticity {
    pub fn run(&self) -> Result<()> {
        let dense = self.recipe.read_with(&["sparsity={method=\"none\"}".to_string()])?;
        self.check(&dense)?;
        if dense.stage_count() > 1 {
            return Err(Error::usage("the trunk is a run of one stage").hint("a recipe without [[stage]]"));
        }
        let mut plans = Vec::new();
        for &at in &self.at {
            for distribution in &self.distribution {
                for regrow in &self.regrow {
                    for &rate in &self.rates {
                        let recipe = self.pruned(at, rate, distribution, regrow)?;
                        plans.push((at, rate, distribution.clone(), regrow.clone(), recipe));
                    }
                }
            }
        }
        let data = drive::data(&dense)?;
        let gpu = self.device.open()?;
        let (accuracy, snapshots) = self.trunk(&gpu, &dense, &data)?;
        let mut branches = Vec::new();
        for (at, rate, distribution, regrow, recipe) in plans {
            if !self.quiet {
                eprintln!("after {at} epochs: {rate} of the weights, {distribution}, regrowth {regrow}");
            }
            let what = || format!("pruned after {at} epochs, rate {rate}, {distribution}, regrowth {regrow}");
            let (session, learning_rate) = match regrow == AS_LOST {
                true => self.regrown(&gpu, (&dense, &recipe), &data, &snapshots[&at]),
                false => self.branch(&gpu, &recipe, &data, &snapshots[&at]),
            }
            .map_err(|error| error.at(what()))?;
            let maskable = || session.model.params.iter().filter(|param| param.prunable);
            let (t_pre, t_contrast) = (accuracy[&at], test(&session)?);
            let kept = maskable().map(|param| param.kept()).sum::<Result<usize>>()?;
            let total = maskable().map(|param| param.len()).sum();
            let (plasticity, t_dense) = (t_contrast - t_pre, accuracy[&(at + self.more)]);
            branches.push(Branch {
                at,
                rate,
                distribution,
                regrow,
                kept,
                total,
                learning_rate,
                t_pre,
                t_contrast,
                plasticity,
                t_dense,
            });
        }
        if let Some(path) = &self.csv {
            write_file_atomic(path, csv(&branches)?.as_bytes())?;
        }
        if let Some(path) = &self.plot {
            plot(&branches, self.more).save(path)?;
        }
        let unequal = branches.iter().any(|branch| branch.regrow == AS_LOST);
        let notes: Vec<&str> = unequal.then_some(UNEQUAL).into_iter().collect();
        if self.json {
            let device = gpu.identity();
            let (recipe, seed, epochs) = (&dense.run.name, dense.run.seed, dense.run.epochs);
            let share = self.regrow.iter().any(|regrow| regrow == "gradient").then(|| self.share());
            let branches = &branches;
            return print_json(&Report {
                schema: 1,
                recipe,
                seed,
                epochs,
                r#for: self.more,
                share,
                device,
                branches,
                notes: &notes,
            });
        }
        if self.markdown {
            return say(&markdown(&branches, self.more)); // its header has the note
        }
        say(&text(&branches))?;
        notes.iter().try_for_each(|note| say(note))
    }

    /// # Errors
    /// `Kind::Usage` for epochs outside the run, for rates and shares that are none or have no effect, and for a way of
    /// pruning that is named twice.
    fn check(&self, recipe: &Recipe) -> Result<()> {
        let epochs = recipe.run.epochs;
        if recipe.run.steps.is_some() {
            return Err(
                Error::usage("this measurement counts in epochs").hint("run.epochs in place of run.steps")
            );
        }
        if self.more == 0 {
            return Err(Error::usage("--for is a number of epochs, at least 1"));
        }
        if let Some(at) = self.at.iter().find(|&&at| at.checked_add(self.more).is_none_or(|end| end > epochs))
        {
            return Err(Error::usage(format!("the run ends before {at} + {} epochs", self.more))
                .at(format!(
                    "`{}` has {epochs} epochs, and its learning rate no value after them",
                    recipe.run.name
                ))
                .hint("earlier --at, fewer epochs --for, or a longer run: -s run.epochs=..."));
        }
        if let Some(rate) = self.rates.iter().find(|&&rate| !(rate > 0.0 && rate < 1.0)) {
            return Err(Error::usage(format!("--rates {rate} is no sparsity above 0 and below 1")));
        }
        if !(self.share() > 0.0 && self.share() < 1.0) {
            return Err(Error::usage(format!("--share {} is no share above 0 and below 1", self.share())));
        }
        if self.share.is_some() && self.regrow.iter().all(|regrow| regrow != "gradient") {
            let regrow = self.regrow.join(",");
            return Err(Error::usage("--share is of regrowth by gradient, which is not asked for")
                .at(format!("--regrow {regrow}"))
                .hint("no --share, or --regrow gradient among others"));
        }
        for (name, all) in [("regrow", &self.regrow), ("distribution", &self.distribution)] {
            if let Some(twice) = (1..all.len()).find(|&i| all[..i].contains(&all[i])) {
                return Err(Error::usage(format!("--{name} names `{}` twice", all[twice])));
            }
        }
        Ok(())
    }

    fn share(&self) -> f64 {
        self.share.unwrap_or(0.5)
    }

    /// The recipe of a network that is pruned once, at the first step after `at` epochs.
    fn pruned(&self, at: u32, rate: f64, distribution: &str, regrow: &str) -> Result<Recipe> {
        let how = match regrow {
            "gradient" => format!(
                "method=\"granet\", init=1.0, regrow_after=false, \
                 schedule={{begin=\"{at}ep\", end=\"{at}ep\", every=1}}, \
                 growth={{by=\"gradient\", fraction={{type=\"constant\", start={:?}}}}}",
                self.share()
            ),
            _ => format!("method=\"gmp\", schedule={{type=\"oneshot\", begin=\"{at}ep\"}}"),
        };
        self.recipe
            .read_with(&[format!("sparsity={{{how}, target={rate:?}, distribution=\"{distribution}\"}}")])
    }

    fn session(&self, gpu: &Gpu, recipe: &Recipe, data: &Dataset) -> Result<Session> {
        let run = cache::Run { gpu, recipe, data, initial: None, max_steps: None };
        let choices = tune::choices(&run, self.autotune.effort(), self.quiet)?;
        drive::build(gpu, self.quiet, || Session::new(gpu, recipe, data, choices))
    }

    /// Trains the dense run: its accuracy, and its state where it is to be pruned, by epoch.
    fn trunk(
        &self,
        gpu: &Gpu,
        recipe: &Recipe,
        data: &Dataset,
    ) -> Result<(BTreeMap<u32, f64>, BTreeMap<u32, Snapshot>)> {
        let mut run = self.session(gpu, recipe, data)?;
        let (mut accuracy, mut snapshots) = (BTreeMap::new(), BTreeMap::new());
        let mut stops: Vec<u32> = self.at.iter().flat_map(|&at| [at, at + self.more]).collect();
        stops.sort_unstable();
        stops.dedup();
        for epoch in stops {
            train(&mut run, epoch)?;
            accuracy.insert(epoch, test(&run)?);
            if self.at.contains(&epoch) {
                snapshots.insert(epoch, run.snapshot()?);
            }
            if !self.quiet {
                eprintln!("dense, after {epoch} epochs: {:.2} %", accuracy[&epoch] * 100.0);
            }
        }
        Ok((accuracy, snapshots))
    }

    /// A pruned network at the end of its epochs, and the learning rate at their begin.
    fn branch(&self, gpu: &Gpu, recipe: &Recipe, data: &Dataset, dense: &Snapshot) -> Result<(Session, f64)> {
        let mut run = self.session(gpu, recipe, data)?;
        run.branch_from(dense)?;
        self.finish(run)
    }

    /// As [`Plasticity::branch`], of a network that was pruned as `once` says and has grown as many as it lost.
    fn regrown(
        &self,
        gpu: &Gpu,
        (recipe, once): (&Recipe, &Recipe),
        data: &Dataset,
        dense: &Snapshot,
    ) -> Result<(Session, f64)> {
        let begin = self.session(gpu, once, data)?.regrown_from(dense)?;
        let mut run = self.session(gpu, recipe, data)?;
        run.restore(&begin)?;
        self.finish(run)
    }

    fn finish(&self, mut run: Session) -> Result<(Session, f64)> {
        let rate = run.learning_rate();
        let epochs = (run.step / run.length.steps_per_epoch) as u32;
        train(&mut run, epochs + self.more)?;
        Ok((run, rate))
    }
}

/// Trains until so many epochs are done.
fn train(run: &mut Session, epochs: u32) -> Result<()> {
    while run.step < u64::from(epochs) * run.length.steps_per_epoch {
        run.advance()?;
    }
    run.take_totals().map(|_| ())
}

fn test(run: &Session) -> Result<f64> {
    let marks = run.evaluate(Part::Test)?;
    marks.map(|marks| marks.totals.accuracy()).ok_or_else(|| Error::internal("there is no test part"))
}
