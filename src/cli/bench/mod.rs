//! `coppice bench`: what this device can do. Every figure is a median of repeats, with its spread.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};

use super::{Device, RecipeArgs, cache, print_json, say, say_beside, tune};
use crate::data::Dataset;
use crate::error::Result;
use crate::gpu::Gpu;
use crate::ops::measure::Effort;
use crate::ops::variants::Choices;
use crate::recipe::Recipe;
use crate::report::table;

pub mod ceilings;
mod crossover;
mod growth;
mod kernels;
mod methods;
mod networks;
mod report;
mod rows;
mod scale;
mod sparse;
mod step;
mod topk;

type Measure = fn(&Gpu, usize) -> Result<Vec<Sheet>>;

/// Every benchmark, in the order in which all are run.
const ALL: &[(&str, Measure)] = &[
    ("ceilings", ceilings::measure),
    ("kernels", kernels::measure),
    ("step", step::measure),
    ("crossover", crossover::measure),
    ("sparse", sparse::measure),
    ("scale", scale::measure),
    ("methods", methods::measure),
    ("networks", networks::measure),
    ("text", networks::measure_text),
    ("growth", growth::measure),
    ("topk", topk::measure),
];

/// What a person with any GPU can run in ten minutes and send to the project.
const REPORT: &str = "report";

/// The fastest kernels for a recipe, however long it takes to find them.
fn fastest(gpu: &Gpu, recipe: &Recipe, data: &Dataset) -> Result<Choices> {
    tune::choices(&cache::Run { gpu, recipe, data, initial: None, max_steps: None }, Effort::Full, false)
}

#[derive(clap::Args)]
pub struct Bench {
    /// What to measure; everything if left out
    #[arg(value_parser = PossibleValuesParser::new(ALL.iter().map(|(name, _)| *name).chain([REPORT])))]
    what: Option<String>,
    /// Time a training step of this recipe, a file or a built-in one, in place of the above: by kernel and by dispatch
    #[arg(long, value_name = "RECIPE", conflicts_with_all = ["what", "out"])]
    recipe: Option<String>,
    /// Set a key of that recipe, such as `-s run.batch=32`
    #[arg(short = 's', long = "set", value_name = "KEY=VALUE", requires = "recipe")]
    set: Vec<String>,
    /// The new folder of `report`, which writes its findings there [default: one named after the adapter]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    device: Device,
    /// Timed repeats of each figure
    #[arg(long, default_value_t = 7)]
    repeats: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// A table of measurements.
struct Sheet {
    name: &'static str,
    title: String,
    header: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

impl Bench {
    pub fn run(&self) -> Result<()> {
        let gpu = self.device.open()?;
        let repeats = self.repeats.max(1);
        let id = gpu.identity();
        if !self.json {
            say(&format!("{} on {} ({}); {repeats} repeats, medians", id.adapter, id.backend, id.driver))?;
        }
        if self.what.as_deref() == Some(REPORT) {
            return report::run(&gpu, repeats, self.out.as_deref());
        }
        let mut sheets = Vec::new();
        if let Some(name) = &self.recipe {
            let recipe = RecipeArgs { recipe: name.clone(), set: self.set.clone(), seed: None }.read()?;
            self.show(step::of_recipe(&gpu, name, &recipe, repeats)?, &mut sheets)?;
        } else {
            let chosen = |name: &str| self.what.as_deref().is_none_or(|what| what == name);
            for (_, measure) in ALL.iter().filter(|(name, _)| chosen(name)) {
                self.show(measure(&gpu, repeats)?, &mut sheets)?;
            }
        }
        if !self.json {
            return Ok(());
        }
        let tables: Vec<_> = sheets.iter().map(json).collect();
        print_json(&json!({ "schema": 1, "device": id, "repeats": repeats, "tables": tables }))
    }
    /// Says tables as they come, unless all are printed as JSON at the end.
    fn show(&self, more: Vec<Sheet>, sheets: &mut Vec<Sheet>) -> Result<()> {
        for sheet in more {
            if !self.json {
                say("")?;
                say_beside("", &sheet.title)?;
                say(&table::rows(sheet.header, &sheet.rows))?;
            }
            sheets.push(sheet);
        }
        Ok(())
    }
}

fn json(sheet: &Sheet) -> Value {
    let row = |row: &Vec<String>| {
        let cell = |text: &String| text.parse::<f64>().map_or_else(|_| json!(text), |number| json!(number));
        serde_json::Map::from_iter(sheet.header.iter().map(|key| key.to_string()).zip(row.iter().map(cell)))
    };
    json!({ "name": sheet.name, "title": sheet.title, "rows": sheet.rows.iter().map(row).collect::<Vec<_>>() })
}

/// Least, median and largest of some times.
#[derive(Clone, Copy)]
struct Times {
    least: f64,
    median: f64,
    most: f64,
}

impl Times {
    fn of(mut ms: Vec<f64>) -> Self {
        ms.sort_by(f64::total_cmp);
        Self { least: ms[0], median: ms[ms.len() / 2], most: ms[ms.len() - 1] }
    }
    fn spread(&self) -> String {
        format!("{:.3}..{:.3}", self.least, self.most)
    }
}
