//! `coppice search`: the best subnet of a once-for-all network under a budget.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::eval::home_of;
use super::{Device, print_json, say, subnet};
use crate::error::{Error, Kind, Result};
use crate::search::{Budget, Draw, Event, Evolution, Options, Report, Search, Shape, Timed};
use crate::shrink::Density;

mod output;

use output::{checked, mean_error, pareto, plot, table, words};

#[derive(clap::Args)]
pub struct SearchArgs {
    /// The folder of a run of a once-for-all network, or a checkpoint in it
    run: PathBuf,
    /// What a network may cost: latency<=3ms, macs<=2M, weights<=20k, bytes<=50kB or memory<=1MB (kB = 1000 B, KiB = 1024 B);
    /// several joined by commas hold together. For each budget one network is found
    #[arg(long = "budget", value_name = "B")]
    budgets: Vec<Budget>,
    /// Random networks that are evaluated, for the predictor of accuracy to learn from
    #[arg(long, value_name = "N", default_value_t = 400)]
    evaluate: usize,
    /// Images that they are judged on: of what the run holds out or, where that is nothing, of what it was trained on
    #[arg(long, value_name = "N", default_value_t = 2000)]
    images: usize,
    /// What networks may keep of their weights, pruned by magnitude and not trained after that: shares of each layer, or N:M
    #[arg(long, value_name = "D", value_delimiter = ',', default_value = "1")]
    densities: Vec<Density>,
    /// The seed of all random draws: the same seed finds the same networks
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Networks of a generation
    #[arg(long, value_name = "N", default_value_t = 100)]
    population: usize,
    /// Generations of the evolution, each ranked by the predictor
    #[arg(long, value_name = "N", default_value_t = 500)]
    generations: usize,
    /// The share of a generation that stays and has children
    #[arg(long, value_name = "SHARE", default_value_t = 0.25)]
    parents: f64,
    /// The chance that a mutation changes a block or a depth
    #[arg(long, value_name = "SHARE", default_value_t = 0.1)]
    mutation: f64,
    /// Draws for a child that meets the budget, before it is left out
    #[arg(long, value_name = "N", default_value_t = 100)]
    tries: usize,
    /// Units of each of the predictor's three hidden layers
    #[arg(long, value_name = "N", default_value_t = 400)]
    hidden: u32,
    /// Of the best by the predictor, how many are evaluated
    #[arg(long, value_name = "N", default_value_t = 8)]
    finalists: usize,
    /// Random networks to compare with
    #[arg(long, value_name = "N", default_value_t = 100)]
    random: usize,
    /// Samples of a batch, for latency and memory
    #[arg(long, value_name = "N", default_value_t = 1)]
    batch: usize,
    /// Times that each latency is measured; the median counts
    #[arg(long, value_name = "N", default_value_t = 15)]
    repeats: usize,
    /// Also time so many random networks as wholes, and say how far the table of latencies is off
    #[arg(long, value_name = "N", default_value_t = 0)]
    check_latency: usize,
    /// Draw accuracy over the cost that the first budget names first, as SVG
    #[arg(long, value_name = "FILE", requires = "budgets")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    device: Device,
    /// Say nothing but warnings and results
    #[arg(short, long)]
    quiet: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl SearchArgs {
    pub fn run(&self) -> Result<()> {
        if self.budgets.is_empty() && self.check_latency == 0 {
            return Err(Error::usage("nothing to search for")
                .hint("--budget \"latency<=3ms\", or --check-latency 20 to see what latencies are worth"));
        }
        // A search may take hours: what it is to write is looked at first.
        if let Some(folder) = self.plot.as_deref().and_then(Path::parent)
            && !folder.as_os_str().is_empty()
            && !folder.is_dir()
        {
            let what = format!("no folder {} to write the plot to", folder.display());
            return Err(Error::new(Kind::FileSystem, what).hint("--plot FILE in a folder that is there"));
        }
        let (session, data, held_out) = subnet::open_to_compare(&self.run, &self.device, self.images)?;
        let images = data.validation.len();
        if !held_out {
            eprintln!(
                "warning: the run held nothing out: subnets are judged on {images} of the images that it was trained on\n  \
                 try: a run with data.validation = 0.1"
            );
        }
        let mut search = Search::new(&session, &data, home_of(&self.run), self.options())?;
        let judged = if held_out { "held-out" } else { "training" };
        if !self.quiet {
            let known = search.known();
            eprintln!("subnets are judged on {images} {judged} images; {known} are known already");
        }
        let mut told = |event: Event| self.told(event);
        let timed = match self.check_latency {
            0 => Vec::new(),
            count => search.check_latency(count, &mut told)?,
        };
        let report = match self.budgets.is_empty() {
            true => None,
            false => Some(search.find(&self.budgets, &mut told)?),
        };
        let kind = self.budgets.first().map(|budget| budget.limits[0].kind);
        // What was found is shown even where it cannot be drawn.
        let draw = || match self.plot.as_ref().zip(report.as_ref()).zip(kind) {
            Some(((path, report), kind)) => plot(report, kind, judged).save(path),
            None => Ok(()),
        };
        if self.json {
            print_json(&self.object(&search, report.as_ref(), &timed, (images, judged)))?;
            return draw();
        }
        if !timed.is_empty() {
            say(&checked(search.measure(&mut told)?, &timed))?;
        }
        let (Some(report), Some(kind)) = (&report, kind) else { return Ok(()) };
        say(&words(report))?;
        say(&format!("the best under each budget, by {images} {judged} images:"))?;
        say(&table(report))?;
        say(&pareto(report, kind))?;
        let run = self.run.display();
        for found in &report.found {
            // The form that leaves pruned weights out.
            let to = match found.subnet.split_once("density=") {
                None => "safetensors OUT.safetensors",
                Some((_, "2:4")) => "2:4 OUT.safetensors",
                Some(_) => "bitmask OUT",
            };
            say(&format!("{}: coppice export {run} --to {to} --subnet \"{}\"", found.budget, found.subnet))?;
        }
        draw()
    }

    fn options(&self) -> Options {
        let Self { population, generations, parents, mutation, tries, .. } = *self;
        let evolution =
            Evolution { population, generations, parents, mutation, tries, ..Evolution::default() };
        Options {
            evaluate: self.evaluate,
            densities: self.densities.clone(),
            seed: self.seed,
            evolution,
            predictor: Shape { hidden: vec![self.hidden; 3], ..Shape::default() },
            finalists: self.finalists,
            random: self.random,
            batch: self.batch,
            repeats: self.repeats,
        }
    }

    /// A line now and then.
    fn told(&self, event: Event) {
        let now_and_then = |done: usize, of: usize| done == of || done.is_multiple_of(of.div_ceil(10).max(1));
        match event {
            _ if self.quiet => {}
            Event::Timed { done, of } if now_and_then(done, of) => {
                eprintln!("latencies of layers: {done} of {of} rounds");
            }
            Event::Evaluated { what, done, of } if now_and_then(done, of) => {
                let what = match what {
                    Draw::Learned => "networks to learn from",
                    Draw::Compared => "networks to compare with",
                    _ => "networks that were found",
                };
                eprintln!("evaluated {done} of {of} {what}");
            }
            Event::Ranked(ranking) => {
                let rank = ranking.rank_correlation.map_or("none".into(), |rank| format!("{rank:.3}"));
                eprintln!("rank correlation of the predictor: {rank}");
            }
            _ => {}
        }
    }

    fn object(
        &self,
        search: &Search,
        report: Option<&Report>,
        timed: &[Timed],
        (images, judged): (usize, &str),
    ) -> Value {
        let checked: Vec<_> = timed.iter().map(|own| json!({ "subnet": own.subnet, "table_ms": own.table_ms, "measured_ms": own.measured_ms, "error": own.error() })).collect();
        let identity = search.device();
        json!({
            "schema": 1, "device": identity, "seed": self.seed, "batch": self.batch,
            "images": images, "judged_on": judged, "networks": search.pool.len(),
            "ranking": report.map(|report| report.ranking),
            "found": report.map(|report| &report.found), "random": report.map(|report| &report.random),
            "latency_check": checked,
            "latency_mean_error": (!timed.is_empty()).then(|| mean_error(timed)),
        })
    }
}
