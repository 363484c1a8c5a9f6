//! `coppice export`: weights for other programs.

use std::path::PathBuf;

use super::say;
use crate::error::{Error, Kind, Result};
use crate::report::load::load_any;
use crate::store::safetensors;

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
        let mut weights = crate::report::mask::applied(&arrays)?;
        weights.retain(|name, _| is_parameter(name));
        safetensors::write(&self.out, &weights, &[("format", "pt")])?;
        say(&format!("{}: {} tensors", self.out.display(), weights.len()))
    }
}
