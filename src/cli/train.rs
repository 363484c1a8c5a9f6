//! `coppice train` and `coppice resume`.

use std::path::{Path, PathBuf};

use super::init::Init;
use super::tune::Autotune;
use super::{Device, RecipeArgs, drive, print_json, runs, say};
use crate::error::{Error, Kind, Result};
use crate::gpu::{Choice, Gpu};
use crate::report::table;
use crate::train::checkpoint::{self, Which};
use crate::train::{Meta, RunFolder, Session, Summary};

#[derive(clap::Args)]
pub struct Train {
    #[command(flatten)]
    recipe: RecipeArgs,
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
pub struct Resume {
    /// The folder of a run
    run: PathBuf,
    /// The device; by default the one of the run, if it is there
    #[arg(long, value_name = "D")]
    device: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(clap::Args)]
struct Common {
    /// Stop, with a checkpoint, when this many steps of the run are done
    #[arg(long, value_name = "N")]
    max_steps: Option<u64>,
    /// Print the results as one JSON object, the last line of stdout
    #[arg(long)]
    json: bool,
    /// Say nothing but warnings and results
    #[arg(short, long)]
    quiet: bool,
}

impl Common {
    fn options(&self) -> drive::Options {
        drive::Options { max_steps: self.max_steps, quiet: self.quiet, ..Default::default() }
    }
    fn report(&self, summary: &Summary) -> Result<()> {
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

impl Resume {
    pub fn run(&self) -> Result<()> {
        let device = |meta: &Meta| match &self.device {
            Some(device) => Gpu::open(&device.parse()?),
            None => same_device(&meta.device),
        };
        self.common.report(&go_on(&self.run, device, &self.common.options())?)
    }
}

/// Goes on with the run in a folder, from its last good checkpoint.
pub fn go_on(
    path: &Path,
    device: impl FnOnce(&Meta) -> Result<Gpu>,
    options: &drive::Options,
) -> Result<Summary> {
    let (folder, recipe, meta) = RunFolder::open(path)?;
    let data = drive::data(&recipe)?;
    if data.hash != meta.data_hash {
        return Err(Error::data(format!("data set `{}` is not what this run was trained on", data.name))
            .at(format!("expected: SHA-256 {}; found: {}", meta.data_hash, data.hash))
            .hint("restore the data, or train anew"));
    }
    let mut warnings = Vec::new();
    let gpu = device(&meta)?;
    let identity = gpu.identity();
    let differs = |what: &str, then: &str, now: &str| {
        (then != now).then(|| {
            Error::new(Kind::Device, format!("the run goes on with another {what}: its bits may differ"))
                .at(format!("then: {then}; now: {now}"))
        })
    };
    warnings.extend(differs("adapter", &meta.device.adapter, &identity.adapter));
    warnings.extend(differs("backend", &meta.device.backend, &identity.backend));
    warnings.extend(differs("driver", &meta.device.driver, &identity.driver));
    gpu.forget_peak(); // of runs before this one
    let variants = meta.variants.clone();
    let initial = folder.initial(&meta)?;
    let begin = || Session::starting_from(&gpu, &recipe, &data, variants, initial.as_ref());
    let mut session = drive::build(&gpu, options.quiet, begin)?;
    match checkpoint::load(path, Which::Last) {
        Ok((snapshot, damaged)) => {
            warnings.extend(damaged);
            session.restore(&snapshot)?;
        }
        Err(_) if checkpoint::list(path)?.is_empty() => {
            warnings.push(Error::checkpoint(
                "the run was stopped before its first checkpoint: it begins at step 0",
            ));
        }
        Err(error) => return Err(error),
    }
    drive::go(session, &data, &folder, options, warnings)
}

/// The device that a run was trained on, or the best one where that is gone.
fn same_device(then: &crate::gpu::Identity) -> Result<Gpu> {
    if then.backend == "twin" {
        return Ok(Gpu::twin());
    }
    let same = |a: &crate::gpu::Adapter| a.name() == then.adapter && a.backend() == then.backend;
    match crate::gpu::adapters().iter().find(|adapter| same(adapter)) {
        Some(adapter) => Gpu::open(&Choice::Index(adapter.index)),
        None => Gpu::open(&Choice::Auto),
    }
}
