//! `coppice export`: weights for other programs.

use std::path::PathBuf;

use super::say;
use crate::error::{Error, Kind, Result};
use crate::report::load::load_any;
use crate::store::{Arrays, safetensors};

#[derive(clap::Args)]
pub struct Export {
    /// The folder of a run, or a checkpoint
    run: PathBuf,
    /// The format
    #[arg(long, value_name = "FORMAT", value_parser = ["safetensors"])]
    to: String,
    /// The file to write
    out: PathBuf,
}

impl Export {
    /// Dense tensors with their zeros in place, (out, in) row-major, as PyTorch names and lays them out.
    pub fn run(&self) -> Result<()> {
        if self.out.exists() {
            return Err(Error::new(Kind::FileSystem, format!("{} exists already", self.out.display()))
                .hint("another file name"));
        }
        let (arrays, damaged) = load_any(&self.run)?;
        for error in damaged {
            eprintln!("warning: {error}");
        }
        let is_parameter = |name: &str| name.ends_with(".weight") || name.ends_with(".bias");
        let mut weights: Arrays = arrays
            .iter()
            .filter(|(name, _)| is_parameter(name))
            .map(|(n, a)| (n.clone(), a.clone()))
            .collect();
        for (name, array) in &mut weights {
            // A latent weight is shipped as the network sees it: 0 behind its mask.
            let mut values = array.to_f32();
            let kept = crate::report::mask::kept(&arrays, name, &values)?;
            values.iter_mut().zip(kept).filter(|(_, kept)| !kept).for_each(|(value, _)| *value = 0.0);
            *array = crate::store::Array::f32(array.shape.clone(), &values);
        }
        safetensors::write(&self.out, &weights, &[("format", "pt")])?;
        say(&format!("{}: {} tensors", self.out.display(), weights.len()))
    }
}
