//! `coppice recalibrate`: the running statistics of a trained network anew.

use std::path::PathBuf;

use serde_json::json;

use super::resume::{other_data, refuse};
use super::{Device, drive, print_json, say};
use crate::error::{Error, Result};
use crate::recipe::Difference;
use crate::report::files;
use crate::train::checkpoint::{self, Which};
use crate::train::{Edit, Evaluation, Part, RunFolder, Session, evaluate_all};

#[derive(clap::Args)]
pub struct Recalibrate {
    /// The folder of a run
    run: PathBuf,
    /// Training batches to go over
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    batches: u32,
    #[command(flatten)]
    device: Device,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Recalibrate {
    /// The last checkpoint is written again, with other statistics and the same weights.
    pub fn run(&self) -> Result<()> {
        let (folder, recipe, mut meta) = RunFolder::open(&self.run)?;
        refuse(&self.run, &meta.differences(&recipe)?)?;
        let data = drive::data(&recipe)?;
        if data.hash != meta.data_hash {
            return Err(other_data(&data, &meta).hint("restore the data"));
        }
        let (snapshot, damaged) = checkpoint::load(&self.run, Which::Last)?;
        for error in damaged {
            eprintln!("warning: {error}");
        }
        let gpu = self.device.open()?;
        let initial = folder.initial(&meta)?;
        let variants = meta.variants.clone();
        let mut session = Session::starting_from(&gpu, &recipe, &data, variants, initial.as_ref())?;
        session.restore(&snapshot)?;
        let before = test(evaluate_all(&session)?)?;
        session.recalibrate(self.batches)?;
        let judged = evaluate_all(&session)?;
        let recalibrated = session.snapshot()?;
        let key = format!("running statistics, over {} batches (digest)", self.batches);
        let (then, now) = (snapshot.digest, recalibrated.digest.clone());
        meta.changes.push(Edit { step: session.steps_done(), difference: Difference { key, then, now } });
        folder.write(&session.whole, &meta)?;
        let keep = recipe.run.keep as usize;
        let path = checkpoint::save(&self.run, &recalibrated, keep, false)?;
        files::write_recalibrated(
            &self.run,
            (session.steps_done(), self.batches),
            &judged,
            &recalibrated.digest,
        )?;
        let after = test(judged)?;
        if self.json {
            return print_json(&json!({
                "schema": 1, "checkpoint": path, "step": session.steps_done(), "batches": self.batches,
                "test_accuracy_before": before.accuracy, "test_accuracy": after.accuracy,
                "test_loss_before": before.loss, "test_loss": after.loss, "digest": recalibrated.digest,
            }));
        }
        for (when, found) in [("before", before), ("after", after)] {
            say(&format!("{when}: test {}, {} answers of {}", found.figures(), found.answers, data.name))?;
        }
        say(&format!("{}\ndigest {}", path.display(), recalibrated.digest))
    }
}

fn test(judged: Vec<Evaluation>) -> Result<Evaluation> {
    let found = judged.into_iter().find(|one| one.part == Part::Test);
    found.ok_or_else(|| Error::internal("no test part"))
}
