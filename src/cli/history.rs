//! `coppice inspect --history` and `--weight`: a run over time.

use std::path::Path;

use serde::Serialize;

use super::{print_json, say};
use crate::error::{Error, Result};
use crate::report::plot::Plot;
use crate::report::{history, life, overlap};

/// How it is to be shown.
pub struct Show<'a> {
    /// A folder for pictures.
    pub plot: Option<&'a Path>,
    pub json: bool,
}

/// Kept weights, churn and R_s of a run; with `other`, the overlap of both runs' masks.
pub fn history(run: &Path, layer: Option<&str>, other: Option<&Path>, show: &Show) -> Result<()> {
    let Some(other) = other else {
        let (found, warning) = history::history(run, layer)?;
        warn(warning);
        return show.all(&found, found.table(), found.plots());
    };
    let (found, warnings) = overlap::compare(run, other, layer)?;
    warn(warnings);
    show.all(&found, found.table(), [("overlap.svg", found.plot())])
}

/// The life of one weight.
pub fn weight(run: &Path, weight: &str, show: &Show) -> Result<()> {
    let (found, warnings) = life::life(run, weight)?;
    warn(warnings);
    show.all(&found, found.table(), [("weight.svg", found.plot())])
}

fn warn(warnings: impl IntoIterator<Item = Error>) {
    for error in warnings {
        eprintln!("warning: {error}");
    }
}

impl Show<'_> {
    fn all(
        &self,
        found: &impl Serialize,
        table: String,
        plots: impl IntoIterator<Item = (&'static str, Plot)>,
    ) -> Result<()> {
        if let Some(folder) = self.plot {
            std::fs::create_dir_all(folder).map_err(|e| Error::file("create", folder, e))?;
            for (name, plot) in plots {
                let path = folder.join(name);
                plot.save(&path)?;
                eprintln!("drew {}", path.display());
            }
        }
        if self.json { print_json(found) } else { say(&table) }
    }
}
