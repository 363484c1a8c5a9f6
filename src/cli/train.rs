//! `coppice train`.

use std::path::PathBuf;

use super::init::Init;
use super::tune::Autotune;
use super::{Device, RecipeArgs, drive, print_json, runs, say};
use crate::error::Result;
use crate::report::table;
use crate::train::{RunFolder, Summary};

#[derive(clap::Args)]
pub struct Train {
    #[command(flatten)]
    pub(super) recipe: RecipeArgs,
    /// The run's folder; by default runs/NAME, numbered if that exists
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    init: Init,
    #[command(flatten)]
    autotune: Autotune,
    #[command(flatten)]
    device: Device,
    #[command(flatten)]
    common: Common,
}

#[derive(clap::Args)]
pub(super) struct Common {
    /// Stop, with a checkpoint, when this many steps of the run are done
    #[arg(long, value_name = "N")]
    max_steps: Option<u64>,
    /// Print the results as one JSON object, the last line of stdout
    #[arg(long)]
    pub json: bool,
    /// Say nothing but warnings and results
    #[arg(short, long)]
    quiet: bool,
}

impl Common {
    pub fn options(&self) -> drive::Options {
        drive::Options { max_steps: self.max_steps, quiet: self.quiet, ..Default::default() }
    }
    pub fn report(&self, summary: &Summary) -> Result<()> {
        if self.json {
            return print_json(summary);
        }
        say(&table::summaries(&[(&name(summary), summary)]))?;
        say(&table::layers(summary))?;
        if summary.dense.is_some() || summary.dense_counted.is_some() {
            say(&table::phases(summary))?;
        }
        say(&format!("digest {}", summary.digest))
    }
}

fn name(summary: &Summary) -> String {
    let folder = summary.run.as_ref().and_then(|path| path.file_name());
    folder.map_or("run".into(), |name| name.to_string_lossy().into_owned())
}

impl Train {
    pub fn run(&self) -> Result<()> {
        let recipe = self.recipe.read()?;
        let data = drive::data(&recipe)?;
        let gpu = self.device.open()?;
        let path = self.out.clone().unwrap_or_else(|| RunFolder::free(&runs(), &recipe.run.name));
        let initial = self.init.read(&recipe, &data)?;
        let options = drive::Options { autotune: self.autotune.effort(), initial, ..self.common.options() };
        let summary = drive::start(&gpu, &recipe, &data, &path, &options)?;
        self.common.report(&summary)
    }
}
