//! `coppice eval`: a trained network on data that it was not trained on.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::resume::{known, other_data, refuse};
use super::weights::Weights;
use super::{Device, drive, init, print_json, say, subnet};
use crate::data::Dataset;
use crate::error::{Error, Kind, Result};
use crate::ops::variants::Choices;
use crate::recipe::{Difference, Recipe, anchored_here};
use crate::report::load::{check_numbers, load_any, snapshot_of};
use crate::train::checkpoint;
use crate::train::{
    Facts, Meta, Part, RunFolder, Session, evaluate_all, evaluate_part, extent, fitted, judged,
};

#[derive(clap::Args)]
pub struct Eval {
    /// The folder of a run, a checkpoint in it, RUN/ckpt/best, or a safetensors file
    what: PathBuf,
    /// Another data set of the same shape; one of the same kind is read by the run's tokens, or mean and deviation
    #[arg(long, value_name = "D")]
    data: Option<String>,
    /// Evaluate although the run's config.toml or data was changed; the output says what
    #[arg(long)]
    accept_changes: bool,
    /// The recipe of a file that does not lie in a run's folder
    #[arg(long, value_name = "RECIPE")]
    recipe: Option<String>,
    /// A subnet of a once-for-all network, with its batch-norm statistics recomputed: "full", "smallest", or such as
    /// "ks=3,5,3 e=3 d=1", pruned with density=0.5 or density=2:4 in it; see `docs/METHODS.md`
    #[arg(long, value_name = "S")]
    subnet: Option<String>,
    /// Leave that subnet the batch-norm statistics of the whole network, to see what its own are worth
    #[arg(long, requires = "subnet")]
    no_recalibrate: bool,
    /// Fail (exit code 10) if the test accuracy, 0 to 1, is lower
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    min_accuracy: Option<f64>,
    #[command(flatten)]
    weights: Weights,
    #[command(flatten)]
    device: Device,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Eval {
    pub fn run(&self) -> Result<()> {
        if !self.min_accuracy.is_none_or(|x| (0.0..=1.0).contains(&x)) {
            return Err(Error::usage("--min-accuracy is a number from 0 to 1"));
        }
        let (mut recipe, meta) = recipe_of(&self.what, self.recipe.as_deref())?;
        let mut differences = meta.as_ref().map_or(Ok(Vec::new()), |meta| meta.differences(&recipe))?;
        if !self.accept_changes {
            refuse(home_of(&self.what).unwrap_or(&self.what), &differences)?;
        }
        // Other data is read by the tokens that the network knows.
        let is_other = self.data.is_some() || self.accept_changes;
        let known = match meta.as_ref().filter(|_| is_other) {
            Some(meta) => known(&recipe, meta)?,
            None => None,
        };
        let trained_on = recipe.data.name.clone();
        if let Some(name) = &self.data {
            recipe.data.name = anchored_here(name)?;
            recipe.data.settings = crate::data::fitting(&recipe.data.name, &recipe.data.settings);
        }
        let mut data = drive::data_as(&recipe, known.as_ref())?;
        if let Some(facts) = meta.as_ref().filter(|_| self.data.is_some()).and_then(|meta| meta.data.as_ref())
        {
            read_as(facts, &mut data, [&trained_on, &recipe.data.name])?;
        }
        if let Some(meta) = meta.as_ref().filter(|meta| self.data.is_none() && meta.data_hash != data.hash) {
            if !self.accept_changes {
                return Err(other_data(&data, meta)
                    .hint("restore the data, --data D for other data, or --accept-changes"));
            }
            let (then, now) = (meta.data_hash.clone(), data.hash.clone());
            differences.push(Difference { key: "data (SHA-256)".into(), then, now });
        }
        for difference in &differences {
            eprintln!("warning: changed since training: {difference}");
        }
        let variants = meta.map_or(Choices::default(), |meta| meta.variants);
        let (arrays, damaged) = load_any(&self.what)?;
        for error in damaged {
            eprintln!("warning: {error}");
        }
        let (arrays, which) = self.weights.of(arrays);
        check_numbers(&arrays, &self.what)?;
        let gpu = self.device.open()?;
        recipe =
            judged(&fitted(&recipe, &data), snapshot_of(&self.what)?.as_ref(), &extent(&data), data.classes)?;
        let mut session = Session::new(&gpu, &recipe, &data, variants)?;
        match is_foreign(&self.what, self.recipe.as_deref()) {
            false => session.load_weights(&crate::report::mask::applied(&arrays)?)?,
            true => session.load_weights(init::matched(&arrays, &self.what, &recipe, &data)?.arrays())?,
        }
        let cut = |text| subnet::cut(&session, text, !self.no_recalibrate);
        let part = self.subnet.as_deref().map(cut).transpose()?;
        let found = match &part {
            Some(part) => evaluate_part(&session, part)?,
            None => evaluate_all(&session)?,
        };
        let with = if self.no_recalibrate { ", with the statistics of the whole network" } else { "" };
        let described = part.as_ref().map(|part| subnet::described(part) + with);
        let test =
            found.iter().find(|e| e.part == Part::Test).ok_or_else(|| Error::internal("no test part"))?;
        if self.json {
            let validation = found.iter().find(|e| e.part == Part::Validation);
            print_json(&json!({
                "schema": 1, "data": data.name, "data_hash": data.hash, "changes": differences, "answers": test.answers,
                "language": test.language, "weights": which,
                "test_loss": test.loss, "test_accuracy": test.accuracy,
                "test_nll": test.loss, "test_ece": test.ece, "test_aurc": test.aurc, "test_e_aurc": test.e_aurc,
                "subnet": part.as_ref().map(|part| part.pick().to_string()),
                "recalibrated": part.as_ref().map(|_| !self.no_recalibrate),
                "val_loss": validation.map(|e| e.loss), "val_accuracy": validation.map(|e| e.accuracy),
                "adapter": gpu.identity().adapter, "backend": gpu.identity().backend,
            }))?;
        } else {
            which.map_or(Ok(()), |which| say(&format!("weights: {which}")))?;
            described.iter().try_for_each(|line| say(line))?;
            for e in &found {
                let part = if e.part == Part::Test { "test" } else { "validation" };
                say(&format!("{part}: {}, {} answers of {}", e.figures(), e.answers, data.name))?;
                // In the units of papers.
                say(&format!(
                    "  confidence: NLL {:.4}, ECE {:.2} %, AURC {:.2}e-3, E-AURC {:.2}e-3",
                    e.loss,
                    e.ece * 100.0,
                    e.aurc * 1e3,
                    e.e_aurc * 1e3
                ))?;
            }
        }
        match self.min_accuracy {
            Some(least) if !(test.accuracy >= least) => {
                Err(Error::new(Kind::Check, format!("test accuracy {} is below {least}", test.accuracy)))
            }
            _ => Ok(()),
        }
    }
}

/// Has other samples read as those that the network was trained on: of a set of the same kind by the same mean and
/// deviation, not by its own. Tokens have neither.
///
/// # Errors
/// `Kind::Data` where classes are called otherwise.
fn read_as(facts: &Facts, data: &mut Dataset, names: [&str; 2]) -> Result<()> {
    if data.vocabulary().is_some() {
        return Ok(());
    }
    let [then, now] = [&facts.class_names, &data.class_names];
    let differs = (0..then.len().max(now.len())).find(|&class| then.get(class) != now.get(class));
    if let Some(class) = differs.filter(|_| !then.is_empty() && !now.is_empty()) {
        let name = |names: &[String]| names.get(class).map_or("none".into(), |name| format!("`{name}`"));
        return Err(Error::data(format!("data set `{}` has other classes than the run", data.name))
            .at(format!("class {class}: expected {}, found {}", name(then), name(now)))
            .hint("the same names: a network knows a class by its number"));
    }
    // Another kind may store its numbers in other units; another shape is refused where the network is built.
    let [then, now] = names.map(|name| name.split(':').next());
    if then == now && data.shape == facts.shape {
        (data.scale, data.shift) = (facts.scale.clone(), facts.shift.clone());
    }
    Ok(())
}

/// The recipe of a network, and the record of its run if it is from there: that of the run's folder, or the one named.
///
/// # Errors
/// `Kind::Usage` for what lies in no run's folder, where none is named.
pub fn recipe_of(what: &Path, named: Option<&str>) -> Result<(Recipe, Option<Meta>)> {
    if let Some(recipe) = named {
        return Ok((Recipe::find(recipe, &[])?, None));
    }
    if !what.exists() && !checkpoint::named(what).exists() {
        return Err(Error::usage(format!("{} does not exist", what.display()))
            .hint("a run folder, a checkpoint, or with --recipe a safetensors file"));
    }
    let run = home_of(what).ok_or_else(|| {
        Error::usage(format!("no recipe for {}", what.display()))
            .at("it is not in a run's folder")
            .hint("--recipe RECIPE: the one that it was trained with")
    })?;
    let (recipe, meta) = RunFolder::read(run)?;
    Ok((recipe, Some(meta)))
}

/// Whether another program may have written a network, so that its names are matched.
pub fn is_foreign(what: &Path, named: Option<&str>) -> bool {
    home_of(what).is_none() || named.is_some() && checkpoint::named(what).is_file()
}

/// The run's folder in which something lies.
pub fn home_of(path: &Path) -> Option<&Path> {
    path.ancestors().find(|folder| folder.join("config.toml").is_file() && folder.join("meta.json").is_file())
}
