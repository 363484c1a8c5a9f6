//! `coppice export`: a trained network for other programs.

use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use serde_json::Value;

use super::eval::home_of;
use super::weights::Weights;
use super::{Device, drive, say, subnet};
use crate::error::{Error, Kind, Result};
use crate::export::{self, Options, Run, Source};
use crate::recipe::Recipe;
use crate::report::load::{check_numbers, load_any, snapshot_of};
use crate::report::table::{self, rows_of_left};
use crate::store::folder::write_file_atomic;
use crate::store::{Arrays, safetensors};
use crate::train::checkpoint::{self, Snapshot, Which};
use crate::train::{Compact, RunFolder, compact, extent};

/// The last words of what belongs to a network; slots and masks have others.
const PARAMETERS: [&str; 6] = ["weight", "bias", "table", "token", "running_mean", "running_var"];

#[derive(clap::Args)]
pub struct Export {
    /// The folder of a run, a checkpoint in it, or RUN/ckpt/best
    run: PathBuf,
    /// The format (`coppice ls formats`); without it OUT's ending names one: .safetensors, .onnx or .c
    #[arg(long, value_name = "FORMAT", value_parser = PossibleValuesParser::new(export::names()))]
    to: Option<String>,
    /// The file to write
    out: PathBuf,
    /// Leave pruned filters out: a smaller network, and beside the file its recipe (OUT with .toml); for runs with
    /// pattern = "filter"
    #[arg(long, conflicts_with = "packed")]
    compact: bool,
    /// Write only kept values and their indices, which Coppice alone reads; safetensors
    #[arg(long)]
    packed: bool,
    /// Leave the zeros of pruned weights out, as sparse initializers, where that is smaller; onnx
    #[arg(long)]
    sparse: bool,
    /// Do not compare the file with the network; onnx
    #[arg(long)]
    no_check: bool,
    #[command(flatten)]
    weights: Weights,
    /// A subnet of a once-for-all network as a network of its own, with its batch-norm statistics recomputed: as of `eval`. Its
    /// recipe is written beside it, with the ending .toml
    #[arg(long, value_name = "S", conflicts_with_all = ["packed", "compact"])]
    subnet: Option<String>,
    #[command(flatten)]
    device: Device,
}

impl Export {
    pub fn run(&self) -> Result<()> {
        absent(&self.out)?;
        let format = self.format()?;
        for (flag, given) in [("--sparse", self.sparse), ("--no-check", self.no_check)] {
            if given && format.name != "onnx" {
                return Err(Error::usage(format!("{flag} is for onnx, not for {}", format.name)));
            }
        }
        if self.packed {
            return self.packed(format);
        }
        let (source, smaller) = match &self.subnet {
            Some(text) => self.part(text)?,
            None if self.compact => self.compact()?,
            None => (self.whole()?, None),
        };
        check_numbers(&source.weights, &self.run)?;
        (format.write)(&source, &self.out)?.iter().try_for_each(|line| say(line))?;
        let Some(recipe) = smaller else { return Ok(()) };
        let beside = self.out.with_extension("toml");
        write_file_atomic(&beside, recipe.to_toml().as_bytes())?;
        say(&format!("{}: its recipe", beside.display()))
    }

    fn format(&self) -> Result<&'static export::Format> {
        let ending = self.out.extension().map(|ending| ending.to_string_lossy());
        let name = self.to.as_deref().or(ending.as_deref()).unwrap_or_default();
        export::ALL.iter().find(|format| format.name == name).ok_or_else(|| {
            Error::usage(format!("the ending of {} names no format", self.out.display()))
                .hint(format!("--to FORMAT, one of {}", export::names().collect::<Vec<_>>().join(", ")))
        })
    }

    /// Weights with their zeros in place.
    fn whole(&self) -> Result<Source> {
        let (arrays, damaged) = load_any(&self.run)?;
        for error in damaged {
            eprintln!("warning: {error}");
        }
        let weights = parameters(crate::report::mask::applied(&self.weights.told(arrays))?);
        let run = match home_of(&self.run) {
            Some(home) => {
                let run = self.run_of(RunFolder::read(home)?.0)?;
                Some(Run { accuracy: self.accuracy(run.digest.as_deref()), ..run })
            }
            None => None,
        };
        Ok(Source { weights, run, options: self.options() })
    }

    /// A subnet, and its recipe.
    fn part(&self, text: &str) -> Result<(Source, Option<Recipe>)> {
        self.beside()?;
        let session = subnet::open(&self.run, &self.device)?;
        let part = subnet::cut(&session, text, true)?;
        let weights = session.weights_of(&part)?;
        let recipe = subnet::recipe(&session, &part)?;
        say(&subnet::described(&part))?;
        let run = Some(Run { snapshot: None, ..self.run_of(recipe.clone())? });
        Ok((Source { weights, run, options: self.options() }, Some(recipe)))
    }

    /// The network without its pruned filters, and its recipe.
    fn compact(&self) -> Result<(Source, Option<Recipe>)> {
        self.beside()?;
        let (recipe, _) = RunFolder::read(self.home()?)?;
        let mut snapshot = self.snapshot()?;
        snapshot.arrays = self.weights.told(snapshot.arrays);
        let data = drive::data(&recipe)?;
        let Compact { recipe, weights, left } = compact(&recipe, &snapshot, &extent(&data), data.classes)?;
        say(&table::rows(&["filters of", "left", "of"], &rows_of_left(&left)))?;
        let run = self.run_of(recipe.clone())?;
        let run = Some(Run { accuracy: self.accuracy(run.digest.as_deref()), snapshot: None, ..run });
        Ok((Source { weights, run, options: self.options() }, Some(recipe)))
    }

    /// The run, with its recipe or that of a smaller network that is part of its own.
    fn run_of(&self, recipe: Recipe) -> Result<Run> {
        let (_, meta) = RunFolder::read(self.home()?)?;
        let snapshot = snapshot_of(&self.run)?;
        let digest = snapshot.as_ref().map(|snapshot| snapshot.digest.clone());
        Ok(Run { recipe, snapshot, meta, digest, accuracy: None, device: self.device.choice()? })
    }

    /// What the run found on the test part at its end, if it did so by the weights that are exported: those of this digest.
    fn accuracy(&self, digest: Option<&str>) -> Option<f64> {
        let text = std::fs::read_to_string(home_of(&self.run)?.join("report.json")).ok()?;
        let report: Value = serde_json::from_str(&text).ok()?;
        let is_it = digest.is_some() && report["digest"].as_str() == digest && self.weights.are_judged();
        report["test_accuracy"].as_f64().filter(|_| is_it)
    }

    fn options(&self) -> Options {
        Options { sparse: self.sparse, unchecked: self.no_check }
    }

    fn home(&self) -> Result<&Path> {
        home_of(&self.run).ok_or_else(|| {
            Error::usage(format!("{} is not in the folder of a run", self.run.display()))
                .hint("the folder of a run, whose recipe says what its network is")
        })
    }

    /// Whether a recipe can be written beside the file.
    fn beside(&self) -> Result<()> {
        let beside = self.out.with_extension("toml");
        match beside == self.out {
            true => Err(Error::usage(format!("{} is where the recipe belongs", self.out.display()))
                .at("the recipe of a smaller network is written beside it, with the ending .toml")
                .hint("another file name")),
            false => absent(&beside),
        }
    }

    fn snapshot(&self) -> Result<Snapshot> {
        let (snapshot, damaged) = match self.run.join("ckpt").is_dir() {
            true => checkpoint::load(&self.run, Which::Last)?,
            false => (checkpoint::read(&checkpoint::named(&self.run))?, Vec::new()),
        };
        for error in damaged {
            eprintln!("warning: {error}");
        }
        Ok(snapshot)
    }

    /// As checkpoints hold them, without slots, and with the shapes that kept values belong to.
    fn packed(&self, format: &export::Format) -> Result<()> {
        if format.name != "safetensors" {
            return Err(Error::usage(format!("--packed is a kind of safetensors, not of {}", format.name)));
        }
        let mut snapshot = self.snapshot()?;
        snapshot.arrays = self.weights.told(snapshot.arrays);
        let weights = snapshot.packed_weights()?;
        check_numbers(&weights, &self.run)?;
        safetensors::write(&self.out, &weights, &[("format", "coppice-packed")])?;
        say(&format!("{}: {} tensors", self.out.display(), weights.len()))
    }
}

/// Refuses what is there already.
fn absent(path: &Path) -> Result<()> {
    match path.exists() {
        true => Err(Error::new(Kind::FileSystem, format!("{} exists already", path.display()))
            .hint("another file name")),
        false => Ok(()),
    }
}

/// What belongs to a network.
fn parameters(mut arrays: Arrays) -> Arrays {
    // A gate of a recurrent layer that has a weight of its own: `weight_i`, `bias_r`.
    let is_gate = |word: &str| {
        let gate = word.strip_prefix("weight_").or_else(|| word.strip_prefix("bias_"));
        gate.is_some_and(|gate| gate.len() == 1)
    };
    arrays.retain(|name, _| {
        let word = name.rsplit('.').next().unwrap_or_default();
        PARAMETERS.contains(&word) || is_gate(word)
    });
    arrays
}
