//! Checkpoints: a run can stop at any instant, `kill -9` included, and lose no more than the steps since the
//! last one.
//!
//! `RUN/ckpt/step-000001200/` holds `tensors.safetensors`, `state.json` and `manifest.json`, and is whole or
//! absent. `RUN/ckpt/last` and `RUN/ckpt/best` are small text files with the name of a folder; `last` is a
//! courtesy to people and scripts and may lag, because what counts is the newest folder that is not damaged.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::compact::{self, expand};
use super::layout;
use crate::error::{Error, Result};
use crate::store::{Arrays, folder, safetensors};

/// The file of a checkpoint that holds its arrays.
pub const TENSORS: &str = "tensors.safetensors";
const STATE: &str = "state.json";
const SCHEMA: u64 = 1;

/// All that a run needs to go on as if it had never stopped.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    pub step: u64,
    /// Weights, masks, slots of the optimizer, as files hold them: without the zeros of held masks.
    pub arrays: Arrays,
    /// Whatever else the trainer wants back. JSON may change the last bit of a float and has no NaN: what has to
    /// return bit for bit belongs into `arrays`, or here as the bits.
    pub state: Value,
    /// SHA-256 over what the rest of the training depends on: arrays, step, seed, optimizer. Bookkeeping (the best
    /// validation, losses not yet logged, times) is no part of it.
    pub digest: String,
}

impl Snapshot {
    /// Weights and biases as they are stored, without slots, each packed one with its shape as `NAME.shape`. Whole
    /// ones lie as PyTorch has them ([`layout`]).
    ///
    /// # Errors
    /// `Kind::Checkpoint` where the shapes are not recorded.
    pub fn packed_weights(&self) -> Result<Arrays> {
        let shapes: BTreeMap<String, Vec<u32>> = serde_json::from_value(self.state["shapes"].clone())
            .map_err(|e| Error::checkpoint("the shapes of the weights are not recorded").at(e.to_string()))?;
        let mut all = Arrays::new();
        for (name, shape) in shapes {
            let own = |stored: &str| stored.strip_prefix(&name).is_some_and(compact::is_weight);
            all.extend(
                self.arrays.iter().filter(|(stored, _)| own(stored)).map(|(n, a)| (n.clone(), a.clone())),
            );
            if !all.contains_key(&name) {
                compact::insert_shape(&mut all, &name, &shape);
            }
        }
        Ok(layout::all_to_torch(&all))
    }

    /// Parameters and their slots laid out: every tensor with its zeros, in the shape that PyTorch has ([`layout`]), and a
    /// mask of bits where there is one.
    ///
    /// # Errors
    /// `Kind::Checkpoint` where a mask and its values disagree.
    pub fn dense(&self) -> Result<Arrays> {
        let mut all =
            expand(&self.arrays, |name| serde_json::from_value(self.state["shapes"][name].clone()).ok())?;
        let besides = [crate::distill::PREFIX, super::snapshot::CARRIED, super::remove::FILTERS];
        all.retain(|name, _| !besides.iter().any(|prefix| name.starts_with(prefix)));
        Ok(layout::all_to_torch(&all))
    }
}

/// Which checkpoint to load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The newest one that is not damaged.
    Last,
    /// The one that was saved as the best.
    Best,
    Step(u64),
}

/// Saves a checkpoint, points `last` (and `best`, if it is that) to it, and then deletes the older ones but for
/// the `keep` newest, this one included, and the best. Checkpoints of later steps, which a run may find when it
/// resumes from an earlier one, are left until it comes to them again. Returns the folder.
///
/// Only the one process that trains the run calls this.
pub fn save(run: &Path, snapshot: &Snapshot, keep: usize, best: bool) -> Result<PathBuf> {
    let home = home(run);
    fs::create_dir_all(&home).map_err(|e| folder::failed("create", &home, e))?;
    folder::clean_stale(&home)?;
    let path = home.join(name_of(snapshot.step));
    // One and the same state may be saved twice, first as the last and then as the best.
    if !(path.exists() && read(&path).is_ok_and(|there| there == *snapshot)) {
        folder::write_folder(&path, |inside| write(inside, snapshot))?;
    }
    let pointer = format!("{}\n", name_of(snapshot.step));
    folder::write_file_atomic(&home.join("last"), pointer.as_bytes())?;
    if best {
        folder::write_file_atomic(&home.join("best"), pointer.as_bytes())?;
    }
    delete_old(run, snapshot.step, keep)?;
    Ok(path)
}

/// Loads a checkpoint, and returns with it the errors of damaged ones that were passed over: to be shown.
///
/// # Errors
/// `Kind::Checkpoint` when there is none, when the one asked for is damaged or absent, or, for `Last`, when all
/// are damaged.
pub fn load(run: &Path, which: Which) -> Result<(Snapshot, Vec<Error>)> {
    let step = match which {
        Which::Last => return newest(run),
        Which::Best => best_step(run)?,
        Which::Step(step) => step,
    };
    let path = home(run).join(name_of(step));
    if !path.exists() {
        let there: Vec<String> = list(run)?.iter().map(u64::to_string).collect();
        return Err(Error::checkpoint(format!("{} has no checkpoint of step {step}", run.display())).at(
            format!(
                "steps that have one: {}",
                if there.is_empty() { "none".into() } else { there.join(" ") }
            ),
        ));
    }
    let hint = "resume from the last checkpoint; a damaged one is passed over there";
    Ok((read(&path).map_err(|e| e.hint(hint))?, Vec::new()))
}

/// The steps that have a checkpoint, damaged or not, in rising order.
pub fn list(run: &Path) -> Result<Vec<u64>> {
    let home = home(run);
    let fail = |e| folder::failed("read the folder", &home, e);
    let entries = match fs::read_dir(&home) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(fail)?,
    };
    let mut steps = Vec::new();
    for entry in entries {
        steps.extend(entry.map_err(fail)?.file_name().to_str().and_then(step_of));
    }
    steps.sort_unstable();
    Ok(steps)
}

/// Reads one checkpoint folder, wherever it lies, after comparing it with its manifest.
pub fn read(path: &Path) -> Result<Snapshot> {
    folder::verify_folder(path)?;
    let arrays = safetensors::read(&path.join(TENSORS))?;
    let file = path.join(STATE);
    let text = fs::read_to_string(&file).map_err(|e| Error::file("read", &file, e))?;
    let wrong = |found: String| {
        Error::checkpoint(format!("{} cannot be used", file.display()))
            .at(format!("expected: \"schema\": {SCHEMA}, a step, a digest, a state; found: {found}"))
    };
    let mut json: Value = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    let (schema, step) = (json["schema"].as_u64(), json["step"].as_u64());
    let (Some(SCHEMA), Some(step), Some(digest)) = (schema, step, json["digest"].as_str()) else {
        return Err(wrong(format!("schema {}, step {}", json["schema"], json["step"])));
    };
    let digest = digest.to_string();
    let state = json["state"].take();
    Ok(Snapshot { step, arrays, digest, state })
}

/// The checkpoint that `RUN/ckpt/last` or `RUN/ckpt/best` names; every other path is returned as it is.
pub fn named(path: &Path) -> PathBuf {
    let is_name = path.file_name().is_some_and(|name| name == "last" || name == "best");
    // A file of tensors may be called that, too.
    let text = (is_name && fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() < 64))
        .then(|| fs::read_to_string(path).ok())
        .flatten();
    let step = text.and_then(|text| step_of(text.trim()));
    step.map_or(path.to_path_buf(), |step| path.with_file_name(name_of(step)))
}

fn write(inside: &Path, snapshot: &Snapshot) -> Result<()> {
    safetensors::write(&inside.join(TENSORS), &snapshot.arrays, &[])?;
    let Snapshot { step, state, digest, .. } = snapshot;
    let json = json!({ "schema": SCHEMA, "step": step, "digest": digest, "state": state });
    folder::write_file_atomic(&inside.join(STATE), format!("{json:#}\n").as_bytes())
}

fn newest(run: &Path) -> Result<(Snapshot, Vec<Error>)> {
    let home = home(run);
    if home.exists() {
        // A folder that stepped aside for one that never came. If it cannot be put back, others may serve.
        _ = folder::restore(&home);
    }
    let mut damaged = Vec::new();
    for step in list(run)?.into_iter().rev() {
        match read(&home.join(name_of(step))) {
            Ok(snapshot) => return Ok((snapshot, damaged)),
            Err(error) => damaged.push(error),
        }
    }
    let none = if damaged.is_empty() { "has no checkpoint" } else { "has no checkpoint that is whole" };
    let mut error = Error::checkpoint(format!("{} {none}", run.display()));
    for each in damaged {
        error = error.at(each.to_string().replace('\n', "\n  "));
    }
    Err(error.hint("start the run again under another name"))
}

fn best_step(run: &Path) -> Result<u64> {
    let pointer = home(run).join("best");
    let none = |why: String| Error::checkpoint(format!("{} has no best checkpoint", run.display())).at(why);
    let text = fs::read_to_string(&pointer)
        .map_err(|e| none(format!("{}: {e}", pointer.display())).hint("take the last checkpoint"))?;
    step_of(text.trim())
        .ok_or_else(|| none(format!("{} expected: step-…; found: {}", pointer.display(), text.trim())))
}

fn delete_old(run: &Path, step: u64, keep: usize) -> Result<()> {
    let best = best_step(run).ok();
    let older: Vec<u64> = list(run)?.into_iter().filter(|&other| other < step).collect();
    let surplus = older.len().saturating_sub(keep.max(1) - 1);
    for &old in older[..surplus].iter().filter(|&&old| Some(old) != best) {
        folder::remove_folder(&home(run).join(name_of(old)))?;
    }
    Ok(())
}

fn home(run: &Path) -> PathBuf {
    run.join("ckpt")
}

fn name_of(step: u64) -> String {
    format!("step-{step:09}")
}

/// The step of a name that [`name_of`] gives, and of no other.
fn step_of(name: &str) -> Option<u64> {
    let step = name.strip_prefix("step-")?.parse().ok()?;
    (name_of(step) == name).then_some(step)
}

#[cfg(test)]
#[path = "checkpoint_tests.rs"]
mod tests;
