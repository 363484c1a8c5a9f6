//! `coppice export`: weights for other programs.

use std::path::PathBuf;

use super::{Device, say, subnet};
use crate::error::{Error, Kind, Result};
use crate::report::load::{check_numbers, load_any};
use crate::store::{Array, Arrays, Dtype, safetensors};
use crate::train::checkpoint::{self, Which};

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
    /// Leave the zeros of pruned weights out: kept values and their places, which Coppice reads again
    #[arg(long)]
    packed: bool,
    /// A subnet of a once-for-all network as a network of its own, its running statistics observed anew: as of `eval`. Its
    /// recipe is written beside it, with the ending .toml
    #[arg(long, value_name = "S", conflicts_with = "packed")]
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
        let (arrays, damaged) = load_any(&self.run)?;
        for error in damaged {
            eprintln!("warning: {error}");
        }
        let is_parameter = |name: &str| PARAMETERS.contains(&name.rsplit('.').next().unwrap_or_default());
        let mut weights = crate::report::mask::applied(&arrays)?;
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
                format!("{} is no room for a recipe", beside.display()),
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

    /// As checkpoints hold them, without slots, and with the shapes that kept values belong to.
    fn packed(&self) -> Result<()> {
        let (snapshot, damaged) = match self.run.join("ckpt").is_dir() {
            true => checkpoint::load(&self.run, Which::Last)?,
            false => (checkpoint::read(&self.run)?, Vec::new()),
        };
        for error in damaged {
            eprintln!("warning: {error}");
        }
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
