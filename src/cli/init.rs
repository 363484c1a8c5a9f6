//! `--init`: the weights that a run starts with.

use std::path::{Path, PathBuf};

use crate::data::Dataset;
use crate::error::Result;
use crate::recipe::Recipe;
use crate::report::load::load_any;
use crate::report::mask;
use crate::store::Arrays;
use crate::train::{Initial, Origin, averaged};

#[derive(clap::Args)]
pub struct Init {
    /// Start from the weights of a safetensors file, a run or a checkpoint, in place of random ones
    #[arg(long, value_name = "FILE")]
    init: Option<PathBuf>,
}

impl Init {
    /// The weights, if any are asked for, and where they came from.
    ///
    /// # Errors
    /// Those of the readers, and of [`Initial::matched`], with the file's name.
    pub fn read(&self, recipe: &Recipe, data: &Dataset) -> Result<Option<(Initial, Origin)>> {
        let Some(path) = &self.init else { return Ok(None) };
        let (arrays, damaged) = load_any(path)?;
        // What a run was judged by.
        let (arrays, _) = averaged(arrays);
        for error in damaged {
            eprintln!("warning: {error}");
        }
        let initial = matched(&arrays, path, recipe, data)?;
        let sha256 = initial.sha256();
        Ok(Some((initial, Origin { file: path.display().to_string(), sha256 })))
    }
}

/// The weights of a file, matched to the parameters of a recipe by name.
///
/// # Errors
/// Those of [`Initial::matched`], with the file's name.
pub fn matched(arrays: &Arrays, file: &Path, recipe: &Recipe, data: &Dataset) -> Result<Initial> {
    let mut weights = mask::applied(arrays)?;
    // Masks, slots and whatever else belongs to a weight.
    weights.retain(|name, _| mask::owner(arrays, name).is_none());
    Initial::matched(weights, recipe, data).map_err(|e| e.at(format!("in {}", file.display())))
}
