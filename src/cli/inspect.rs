//! `coppice inspect`: what is in a run, a checkpoint, a dump or a safetensors file.

use std::path::{Path, PathBuf};

use super::history::{self, Show};
use super::weights::Weights;
use super::{print_json, say};
use crate::error::{Error, Kind, Result};
use crate::report::bars::{Bar, Bars};
use crate::report::diff::diff;
use crate::report::history::short;
use crate::report::inspect::{Inspection, Options, Tensor, inspect, percent, selected};
use crate::report::load::{check_numbers, load_any, snapshot_of};
use crate::report::stats::{Conformance, Pattern};
use crate::report::table::{self, rows_of_left};
use crate::report::{kernels, mask};
use crate::store::Arrays;

#[derive(clap::Args)]
pub struct Inspect {
    /// The folder of a run, a checkpoint or a dump, a safetensors or .npy file, or RUN/ckpt/best
    what: PathBuf,
    /// Only tensors whose name matches, such as `fc*`
    #[arg(long, value_name = "PATTERN")]
    layer: Option<String>,
    /// Test this N:M pattern, such as 2:4; may be given several times
    #[arg(long, value_name = "N:M")]
    nm: Vec<String>,
    /// Fail (exit code 10) where a weight has more than N kept weights in a group of a pattern of --nm
    #[arg(long, requires = "nm", conflicts_with_all = ["diff", "all"])]
    check: bool,
    /// Compare with another one
    #[arg(long, value_name = "OTHER")]
    diff: Option<PathBuf>,
    /// Draw every weight of rank 2 or more into this folder; of a convolution each kernel, a row of them for each output
    /// channel
    #[arg(long, value_name = "DIR")]
    png: Option<PathBuf>,
    /// Draw the sparsity of every weight as a bar into this file, as SVG
    #[arg(long, value_name = "FILE", conflicts_with = "diff")]
    bars: Option<PathBuf>,
    /// What pruning did over time: kept weights, churn and weights ever kept, of a run's folder; with --diff, how far
    /// the masks of two runs agree
    #[arg(long, conflicts_with_all = ["nm", "png", "bars", "all"])]
    history: bool,
    /// The history of one weight of a run: layer, row (output) and column (input) from 0, such as 'fc1[12,345]'; of a
    /// convolution output channel, input channel, row and column of the kernel, such as 'conv1[5,0,2,1]'
    #[arg(long, value_name = "WEIGHT", conflicts_with_all = ["nm", "png", "bars", "all", "layer", "diff", "history"])]
    weight: Option<String>,
    /// Draw --history or --weight into this folder, as SVG
    #[arg(long, value_name = "DIR")]
    plot: Option<PathBuf>,
    /// Show optimizer slots and gradients, too
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    weights: Weights,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub fn run(&self) -> Result<()> {
        let show = Show { plot: self.plot.as_deref(), json: self.json };
        if let Some(weight) = &self.weight {
            return history::weight(&self.what, weight, &show);
        }
        if self.history {
            return history::history(&self.what, self.layer.as_deref(), self.diff.as_deref(), &show);
        }
        if self.plot.is_some() {
            return Err(Error::usage("--plot draws what --history or --weight shows")
                .hint("--png DIR draws the weights of a network"));
        }
        let mut options = Options { layer: self.layer.clone(), companions: self.all, ..Default::default() };
        if !self.nm.is_empty() {
            options.patterns = self.nm.iter().map(|text| Pattern::parse(text)).collect::<Result<_>>()?;
        }
        let arrays = self.load(&self.what)?;
        if selected(&arrays, &options).is_empty() {
            let error = Error::usage("no tensor matches")
                .at(format!("there are: {}", arrays.keys().cloned().collect::<Vec<_>>().join(", ")));
            return Err(match &self.layer {
                Some(layer) => error.hint(format!("another --layer pattern than `{layer}`")),
                None => error.hint("--all shows masks, gradients and optimizer slots, too"),
            });
        }
        if let Some(folder) = &self.png {
            draw(&arrays, &options, folder)?;
        }
        match &self.diff {
            Some(other) => {
                let others = self.load(other)?;
                let found = diff(&arrays, &others, &options)?;
                if self.json { print_json(&found) } else { say(&found.table()) }?;
                check_numbers(&others, other)?;
            }
            None => {
                let found = inspect(&arrays, &options)?;
                if let Some(file) = &self.bars {
                    bars(&found).save(file)?;
                    eprintln!("drew {}", file.display());
                }
                if self.json { print_json(&found) } else { say(&found.table()) }?;
                if !self.json {
                    left(&self.what)?;
                }
                if self.check {
                    check_numbers(&arrays, &self.what)?;
                    return keeps_to(&found);
                }
            }
        }
        // Last: what is broken is to be seen first.
        check_numbers(&arrays, &self.what)
    }

    /// With `--all` averages are among what is shown.
    fn load(&self, path: &Path) -> Result<Arrays> {
        let (arrays, damaged) = load_any(path)?;
        for error in damaged {
            eprintln!("warning: {error}");
        }
        Ok(if self.all { arrays } else { self.weights.told(arrays) })
    }
}

/// Where pruned filters were removed from the network, how many are left.
fn left(path: &Path) -> Result<()> {
    let found = snapshot_of(path)?.map_or(Vec::new(), |snapshot| snapshot.left());
    if found.is_empty() {
        return Ok(());
    }
    say(&table::rows(&["filters of", "left", "of"], &rows_of_left(&found)))
}

/// What `--check` asks for.
fn keeps_to(found: &Inspection) -> Result<()> {
    let of = |tensor: &Tensor, own: &Conformance| {
        format!("`{}`: {} in {} of its groups", tensor.name, own.pattern, percent(own.share))
    };
    let all = found
        .tensors
        .iter()
        .flat_map(|tensor| tensor.patterns.iter().flatten().map(move |own| (tensor, own)));
    if found.tensors.iter().all(|tensor| tensor.patterns.is_none()) {
        return Err(
            Error::usage("there is no weight of rank 2 or more to check").hint("another --layer PATTERN")
        );
    }
    let broken: Vec<String> =
        all.filter(|(_, own)| !(own.share >= 1.0)).map(|(tensor, own)| of(tensor, own)).collect();
    if broken.is_empty() {
        return Ok(());
    }
    let what = "not every group of every weight keeps to the pattern";
    Err(broken
        .into_iter()
        .fold(Error::new(Kind::Check, what), Error::at)
        .hint("--layer PATTERN checks some of them"))
}

fn draw(arrays: &Arrays, options: &Options, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::file("create", folder, e))?;
    for name in selected(arrays, options) {
        let array = &arrays[name];
        if array.shape.len() < 2 {
            continue;
        }
        let values = array.to_f32();
        let kept = mask::kept(arrays, name, &values)?;
        let path = folder.join(format!("{}.png", name.replace(['/', '\\'], "_")));
        kernels::weight_picture(&array.shape, Some(&values), &kept).save_png(&path)?;
        eprintln!("drew {}", path.display());
    }
    Ok(())
}

/// The sparsity of all weights of rank 2 and more, in the order of the table.
fn bars(found: &Inspection) -> Bars {
    let weights = found.tensors.iter().filter(|tensor| tensor.shape.len() > 1);
    let bar =
        |tensor: &Tensor| Bar { name: short(&tensor.name).into(), kept: tensor.kept, total: tensor.total };
    Bars { bars: weights.map(bar).collect(), kept: found.kept, total: found.total }
}
