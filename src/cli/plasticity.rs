//! `coppice plasticity`: how well a network recovers from being pruned, by when and by how much it was.
//!
//! Liu et al., 2021, "Sparse Training via Boosting Pruning Plasticity with Neuroregeneration", Section 3: a dense run
//! is pruned once at some epoch and trained on, the learning rate along the schedule of the run. Plasticity is the test
//! accuracy then less that before pruning. Beside it stands what the dense run gained over the same epochs.
//!
//! With regrowth, the pruned network drops a share of what it kept and grows as many where the gradient is largest, tensor
//! by tensor, as a step of GraNet does, so that it keeps as many weights as without. (To regrow all that was pruned, as the
//! authors' code can, would leave a network that was dense before dense.)

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Device, RecipeArgs, drive, print_json, say};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::recipe::Recipe;
use crate::report::plot::{Axis, Plot, Series, Stroke};
use crate::report::table;
use crate::store::folder::write_file_atomic;
use crate::train::checkpoint::Snapshot;
use crate::train::{Part, Session};

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
    /// Whether weights are regrown by gradient
    #[arg(long, value_delimiter = ',', default_value = "none,gradient", value_parser = ["none", "gradient"])]
    regrow: Vec<String>,
    /// With regrowth: the share of kept weights that is dropped and grown elsewhere
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    share: f64,
    /// Take the fixed default kernels instead of measuring which is fastest here
    #[arg(long)]
    no_autotune: bool,
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

const COLUMNS: [&str; 11] = [
    "at",
    "rate",
    "distribution",
    "regrow",
    "kept",
    "total",
    "learning_rate",
    "t_pre",
    "t_contrast",
    "plasticity",
    "t_dense",
];

#[derive(serde::Serialize)]
struct Report<'a> {
    schema: u32,
    recipe: &'a str,
    seed: u64,
    epochs: u32,
    /// Epochs after pruning.
    r#for: u32,
    share: f64,
    device: &'a crate::gpu::Identity,
    branches: &'a [Branch],
}

impl Plasticity {
    pub fn run(&self) -> Result<()> {
        let dense = self.recipe.read_with(&["sparsity={method=\"none\"}".to_string()])?;
        self.check(&dense)?;
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
            let (session, learning_rate) =
                self.branch(&gpu, &recipe, &data, &snapshots[&at]).map_err(|error| error.at(what()))?;
            let maskable = || session.model.params().into_iter().filter(|param| param.is_maskable());
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
        if self.json {
            let device = gpu.identity();
            let (recipe, seed, epochs) = (&dense.run.name, dense.run.seed, dense.run.epochs);
            let (share, branches) = (self.share, &branches);
            return print_json(&Report {
                schema: 1,
                recipe,
                seed,
                epochs,
                r#for: self.more,
                share,
                device,
                branches,
            });
        }
        say(&if self.markdown { markdown(&branches, self.more) } else { text(&branches) })
    }

    /// # Errors
    /// `Kind::Usage` for epochs outside the run, and for rates and shares that are none.
    fn check(&self, recipe: &Recipe) -> Result<()> {
        let epochs = recipe.run.epochs;
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
        if !(self.share > 0.0 && self.share < 1.0) {
            return Err(Error::usage(format!("--share {} is no share above 0 and below 1", self.share)));
        }
        Ok(())
    }

    /// The recipe of a network that is pruned once, at the first step after `at` epochs.
    fn pruned(&self, at: u32, rate: f64, distribution: &str, regrow: &str) -> Result<Recipe> {
        let how = match regrow {
            "gradient" => format!(
                "method=\"granet\", init=1.0, regrow_after=false, \
                 schedule={{begin=\"{at}ep\", end=\"{at}ep\", every=1}}, \
                 growth={{by=\"gradient\", fraction={{type=\"constant\", start={:?}}}}}",
                self.share
            ),
            _ => format!("method=\"gmp\", schedule={{type=\"oneshot\", begin=\"{at}ep\"}}"),
        };
        self.recipe
            .read_with(&[format!("sparsity={{{how}, target={rate:?}, distribution=\"{distribution}\"}}")])
    }

    fn session(&self, gpu: &Gpu, recipe: &Recipe, data: &Dataset) -> Result<Session> {
        let choices = drive::choices(gpu, recipe, data, !self.no_autotune)?;
        Session::new(gpu, recipe, data, choices)
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

fn percent(x: f64) -> String {
    format!("{:.2} %", x * 100.0)
}

/// As docs/results.md has it: networks that differ in regrowth alone share a row.
fn markdown(branches: &[Branch], more: u32) -> String {
    let key = |b: &Branch| (b.at, b.rate, b.distribution.clone());
    let later = format!("{more} epochs later");
    let header = ["pruned after epoch", "learning rate then", "rate", "distribution", "before", &later]
        .map(String::from)
        .into_iter()
        .chain(["plasticity (points)", "the same with regrowth"].map(String::from))
        .chain([format!("dense, {later}")])
        .collect::<Vec<_>>();
    let line = |cells: &[String]| format!("| {} |", cells.join(" | "));
    let mut lines = vec![line(&header), format!("|{}", "---|".repeat(header.len()))];
    let mut rows: Vec<Vec<&Branch>> = Vec::new();
    for branch in branches {
        match rows.iter_mut().find(|row| key(row[0]) == key(branch)) {
            Some(row) => row.push(branch),
            None => rows.push(vec![branch]),
        }
    }
    for row in rows {
        let of = |regrow: &str, write: &dyn Fn(&Branch) -> String| {
            row.iter().find(|b| b.regrow == regrow).map_or("-".to_string(), |b| write(b))
        };
        let points = |b: &Branch| format!("{:+.2}", b.plasticity * 100.0);
        let first = row[0];
        lines.push(line(&[
            first.at.to_string(),
            format!("{:.2}", first.learning_rate),
            format!("{} %", (first.rate * 1e4).round() / 1e2),
            first.distribution.clone(),
            percent(first.t_pre),
            of("none", &|b| percent(b.t_contrast)),
            of("none", &points),
            of("gradient", &points),
            percent(first.t_dense),
        ]));
    }
    lines.join("\n")
}

fn text(branches: &[Branch]) -> String {
    let row = |b: &Branch| {
        vec![
            b.at.to_string(),
            b.rate.to_string(),
            b.distribution.clone(),
            b.regrow.clone(),
            format!("{} / {}", b.kept, b.total),
            format!("{:.4}", b.learning_rate),
            percent(b.t_pre),
            percent(b.t_contrast),
            format!("{:+.2}", b.plasticity * 100.0),
            percent(b.t_dense),
        ]
    };
    let header = [
        "epoch",
        "rate",
        "distribution",
        "regrowth",
        "kept / total",
        "lr",
        "t_PRE",
        "t_CONTRAST",
        "plasticity",
        "dense, then",
    ];
    table::rows(&header, &branches.iter().map(row).collect::<Vec<_>>())
}

fn csv(branches: &[Branch]) -> Result<String> {
    let mut lines = vec![COLUMNS.join(",")];
    for branch in branches {
        let value = serde_json::to_value(branch).map_err(|e| Error::internal(e.to_string()))?;
        let cell = |name: &&str| match &value[*name] {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        lines.push(COLUMNS.iter().map(cell).collect::<Vec<_>>().join(","));
    }
    Ok(lines.join("\n") + "\n")
}

/// A line for each rate, dashed with regrowth; one more colour a distribution.
fn plot(branches: &[Branch], more: u32) -> Plot {
    let mut series: Vec<Series> = Vec::new();
    let mut colours: Vec<String> = Vec::new();
    for branch in branches {
        let Branch { rate, distribution, regrow, .. } = branch;
        let own = format!("{} %, {distribution}", rate * 100.0);
        let name = if regrow == "none" { own.clone() } else { format!("{own}, regrown") };
        let point = (f64::from(branch.at), branch.plasticity * 100.0);
        if let Some(line) = series.iter_mut().find(|line| line.name == name) {
            line.points.push(point);
            continue;
        }
        let colour = colours.iter().position(|known| *known == own).unwrap_or_else(|| {
            colours.push(own.clone());
            colours.len() - 1
        });
        let line = Series::new(name, colour, vec![point]).dots();
        series.push(if regrow == "none" { line } else { line.stroke(Stroke::Dashed) });
    }
    Plot {
        title: format!("Accuracy {more} epochs after pruning, against that before"),
        x: Axis::linear("epoch of pruning"),
        y: Axis::linear("plasticity (points)"),
        series,
        bands: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rate_is_a_line_and_regrowth_dashes_it() {
        let branch = |at: u32, rate: f64, regrow: &str, plasticity: f64| Branch {
            at,
            rate,
            distribution: "uniform".into(),
            regrow: regrow.into(),
            kept: 1,
            total: 10,
            learning_rate: 0.1,
            t_pre: 0.9,
            t_contrast: 0.9 + plasticity,
            plasticity,
            t_dense: 0.9,
        };
        let branches = [
            branch(2, 0.9, "none", -0.01),
            branch(2, 0.9, "gradient", 0.0),
            branch(5, 0.9, "none", -0.02),
            branch(5, 0.98, "none", -0.3),
        ];
        let table = markdown(&branches, 2);
        let lines: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "| 2 | 0.10 | 90 % | uniform | 90.00 % | 89.00 % | -1.00 | +0.00 | 90.00 % |",
                "| 5 | 0.10 | 90 % | uniform | 90.00 % | 88.00 % | -2.00 | - | 90.00 % |",
                "| 5 | 0.10 | 98 % | uniform | 90.00 % | 60.00 % | -30.00 | - | 90.00 % |",
            ]
        );
        assert!(
            table.starts_with("| pruned after epoch |") && table.contains("| 2 epochs later |"),
            "{table}"
        );
        let plot = plot(&branches, 2);
        let lines: Vec<_> = plot
            .series
            .iter()
            .map(|line| (line.name.as_str(), line.points.len(), line.colour, line.stroke))
            .collect();
        assert_eq!(
            lines,
            [
                ("90 %, uniform", 2, 0, Stroke::Plain),
                ("90 %, uniform, regrown", 1, 0, Stroke::Dashed),
                ("98 %, uniform", 1, 1, Stroke::Plain)
            ]
        );
        assert_eq!(plot.series[0].points, [(2.0, -1.0), (5.0, -2.0)]);
    }
}
