//! `coppice demo`: the embedded digits, dense and 90 % sparse, a table and a picture.

use std::path::PathBuf;

use super::{Device, drive, print_json, runs, say};
use crate::error::Result;
use crate::ops::measure::Effort;
use crate::recipe::Recipe;
use crate::report::{kernels, mosaic, picture, table};
use crate::store::Arrays;
use crate::train::checkpoint::{self, Which};
use crate::train::{RunFolder, Summary};

#[derive(clap::Args)]
pub struct Demo {
    #[command(flatten)]
    device: Device,
    /// Where the two run folders go
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print both results as one JSON object, the last line of stdout
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Both {
    schema: u32,
    dense: Summary,
    sparse: Summary,
    picture: PathBuf,
}

impl Demo {
    pub fn run(&self) -> Result<()> {
        let gpu = self.device.open()?;
        let home = self.out.clone().unwrap_or_else(runs);
        let options = drive::Options { autotune: Effort::Brief, ..Default::default() };
        let mut done = Vec::new();
        for name in ["digits-dense", "digits-gmp-90"] {
            // The dense run is the baseline here.
            let recipe = crate::train::resolve(&Recipe::find(name, &["run.baseline=false".to_string()])?)?;
            let data = drive::data(&recipe)?;
            let path = RunFolder::free(&home, &format!("demo-{name}"));
            done.push(drive::start(&gpu, &recipe, &data, &path, &options)?);
        }
        let [dense, sparse] = <[Summary; 2]>::try_from(done).expect("two recipes");
        let path = sparse.run.as_ref().map_or_else(|| home.clone(), PathBuf::clone).join("masks.png");
        mosaic::side_by_side(&[row("dense", &dense)?, row("90 % sparse", &sparse)?]).save_png(&path)?;
        if self.json {
            return print_json(&Both { schema: 1, dense, sparse, picture: path });
        }
        say(&table::summaries(&[("dense", &dense), ("90 % sparse", &sparse)]))?;
        for summary in [&dense, &sparse] {
            if let Some(run) = &summary.run {
                say(&format!("run      {}", run.display()))?;
            }
        }
        say(&format!("picture  {}", path.display()))?;
        say("next     coppice inspect on a run; coppice ls recipes; coppice train RECIPE")
    }
}

/// The weights of a run's last checkpoint, drawn layer by layer.
fn row(heading: &str, summary: &Summary) -> Result<mosaic::Row> {
    let heading = format!("{heading}: {:.2} % accuracy", summary.test_accuracy * 100.0);
    let Some(run) = &summary.run else { return Ok(mosaic::Row { heading, pictures: Vec::new() }) };
    let arrays = checkpoint::load(run, Which::Last)?.0.dense()?;
    let pictures = summary.layers.iter().map(|layer| {
        let label = format!("{} {}/{}", layer.name, layer.kept, layer.total);
        Ok((label, draw(&arrays, &layer.name)?))
    });
    Ok(mosaic::Row { heading, pictures: pictures.collect::<Result<_>>()? })
}

fn draw(arrays: &Arrays, name: &str) -> Result<picture::Image> {
    let values = arrays[name].to_f32();
    let kept = crate::report::mask::kept(arrays, name, &values)?;
    Ok(kernels::weight_picture(&arrays[name].shape, Some(&values), &kept))
}
