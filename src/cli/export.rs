//! `coppice export`: weights for other programs.

use std::path::PathBuf;

use super::eval::home_of;
use super::weights::Weights;
use super::{Device, drive, say, subnet};
use crate::error::{Error, Kind, Result};
use crate::report::load::{check_numbers, load_any};
use crate::report::table::{self, rows_of_left};
use crate::store::folder::write_file_atomic;
use crate::store::{Array, Arrays, Dtype, safetensors};
use crate::train::checkpoint::{self, Which};
use crate::train::{Compact, RunFolder, compact, extent};

/// The last words of what belongs to a network; slots and masks have others.
const PARAMETERS: [&str; 6] = ["weight", "bias", "table", "token", "running_mean", "running_var"];

#[derive(clap::Args)]
pub struct Export {
    /// The folder of a run, or a checkpoint
    run: PathBuf,
    /// The format
    #[arg(long, value_name = "FORMAT", value_parser = ["safetensors"])]
    to: String,
    /// The file to write
    out: PathBuf,
    /// Leave pruned filters out: smaller tensors under the same names, and beside the file a recipe of the smaller network
    /// (OUT with .toml); for runs with pattern = "filter"
    #[arg(long, conflicts_with = "packed")]
    compact: bool,
    /// Write only kept values and their indices, which Coppice alone reads
    #[arg(long)]
    packed: bool,
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
    /// Dense tensors with their zeros in place, as PyTorch names and lays them out: (out, in), and (out, in, height,
    /// width) of a convolution.
    pub fn run(&self) -> Result<()> {
        if self.out.exists() {
            return Err(Error::new(Kind::FileSystem, format!("{} exists already", self.out.display()))
                .hint("another file name"));
        }
        if let Some(text) = &self.subnet {
            return self.part(text);
        }
        if self.packed {
            return self.packed();
        }
        if self.compact {
            return self.compact();
        }
        let (arrays, damaged) = load_any(&self.run)?;
        for error in damaged {
            eprintln!("warning: {error}");
        }
        let is_parameter = |name: &str| PARAMETERS.contains(&name.rsplit('.').next().unwrap_or_default());
        let mut weights = crate::report::mask::applied(&self.weights.told(arrays))?;
        weights.retain(|name, _| is_parameter(name));
        check_numbers(&weights, &self.run)?;
        weights.extend(batch_counts(&weights));
        safetensors::write(&self.out, &weights, &[("format", "pt")])?;
        say(&format!("{}: {} tensors", self.out.display(), weights.len()))
    }

    /// The tensors of a subnet, and its recipe.
    fn part(&self, text: &str) -> Result<()> {
        let beside = self.out.with_extension("toml");
        if beside.exists() || beside == self.out {
            return Err(Error::new(
                Kind::FileSystem,
                format!(
                    "{} cannot hold the recipe: it exists, or is the file of the weights",
                    beside.display()
                ),
            )
            .at("the recipe of a subnet is written beside its weights")
            .hint("another file name"));
        }
        let session = subnet::open(&self.run, &self.device)?;
        let part = subnet::cut(&session, text)?;
        let mut weights = session.weights_of(&part)?;
        check_numbers(&weights, &self.run)?;
        weights.extend(batch_counts(&weights));
        safetensors::write(&self.out, &weights, &[("format", "pt")])?;
        let recipe = subnet::recipe(&session, &part)?.to_toml();
        std::fs::write(&beside, recipe).map_err(|e| Error::file("write", &beside, e))?;
        say(&subnet::described(&part))?;
        say(&format!("{}: {} tensors; its recipe: {}", self.out.display(), weights.len(), beside.display()))
    }

    /// The network without its pruned filters, and its recipe.
    fn compact(&self) -> Result<()> {
        let beside = self.out.with_extension("toml");
        if beside.exists() {
            return Err(Error::new(Kind::FileSystem, format!("{} exists already", beside.display()))
                .hint("another file name"));
        }
        let home = home_of(&self.run).ok_or_else(|| {
            Error::usage(format!("{} is not in the folder of a run", self.run.display()))
                .hint("the folder of a run, whose recipe says what its network is")
        })?;
        let (recipe, _) = RunFolder::read(home)?;
        let mut snapshot = self.snapshot()?;
        snapshot.arrays = self.weights.told(snapshot.arrays);
        let data = drive::data(&recipe)?;
        let Compact { recipe, mut weights, left } =
            compact(&recipe, &snapshot, &extent(&data), data.classes)?;
        check_numbers(&weights, &self.run)?;
        weights.extend(batch_counts(&weights));
        safetensors::write(&self.out, &weights, &[("format", "pt")])?;
        write_file_atomic(&beside, recipe.to_toml().as_bytes())?;
        say(&table::rows(&["filters of", "left", "of"], &rows_of_left(&left)))?;
        say(&format!("{}: {} tensors; its network: {}", self.out.display(), weights.len(), beside.display()))
    }

    fn snapshot(&self) -> Result<checkpoint::Snapshot> {
        let (snapshot, damaged) = match self.run.join("ckpt").is_dir() {
            true => checkpoint::load(&self.run, Which::Last)?,
            false => (checkpoint::read(&self.run)?, Vec::new()),
        };
        for error in damaged {
            eprintln!("warning: {error}");
        }
        Ok(snapshot)
    }

    /// As checkpoints hold them, without slots, and with the shapes that kept values belong to.
    fn packed(&self) -> Result<()> {
        let mut snapshot = self.snapshot()?;
        snapshot.arrays = self.weights.told(snapshot.arrays);
        let weights = snapshot.packed_weights()?;
        check_numbers(&weights, &self.run)?;
        safetensors::write(&self.out, &weights, &[("format", "coppice-packed")])?;
        say(&format!("{}: {} tensors", self.out.display(), weights.len()))
    }
}

/// What PyTorch keeps beside running statistics, so that a strict `load_state_dict` finds all that it looks for. With a
/// momentum, which Coppice has, nothing depends on how many batches there were.
fn batch_counts(weights: &Arrays) -> Arrays {
    let layers = weights.keys().filter_map(|name| name.strip_suffix("running_mean"));
    let none = Array::new(Dtype::I64, [], vec![0; Dtype::I64.bytes()]);
    layers.map(|layer| (format!("{layer}num_batches_tracked"), none.clone())).collect()
}
