//! What a run writes down as it goes: `metrics.jsonl`, `log.txt`, `times.jsonl` and `masks/updates.jsonl` in its folder.
//!
//! Each line is one JSON object with a `step`. On resume, lines after the checkpoint are cut off first: the
//! steps that wrote them are about to happen again. What differs between two runs of one recipe, when something happened and
//! in how many sessions, stands in `times.jsonl` alone; nothing is cut off there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::error::{Error, Kind, Result};
use crate::store::folder::{failed, write_file_atomic};
use crate::train::{Evaluation, Event, Flips, Part, Summary};

/// Appends to the files of a run.
pub struct Files {
    metrics: Lines,
    masks: Lines,
    log: Lines,
    times: Lines,
    /// Steps that were done when they were opened.
    from: u64,
}

struct Lines {
    path: PathBuf,
    file: File,
}

impl Lines {
    fn open(path: PathBuf) -> Result<Self> {
        let open = || -> io::Result<File> {
            let mut file = OpenOptions::new().read(true).create(true).append(true).open(&path)?;
            let mut last = [b'\n'];
            if file.metadata()?.len() > 0 {
                file.seek(SeekFrom::End(-1))?;
                file.read_exact(&mut last)?;
            }
            // A crash tore the last line: the next one is not to be part of it.
            if last != [b'\n'] {
                file.write_all(b"\n")?;
            }
            Ok(file)
        };
        Ok(Self { file: open().map_err(|e| failed("open", &path, e))?, path })
    }
    /// In one call, so that a crash between two leaves no line without its end.
    fn add(&mut self, line: &str) -> Result<()> {
        self.file.write_all(format!("{line}\n").as_bytes()).map_err(|e| failed("write", &self.path, e))
    }
}

impl Files {
    /// Opens the files of the run in `folder`, which goes on after `step` steps.
    pub fn open(folder: &Path, step: u64) -> Result<Self> {
        let masks = folder.join("masks");
        fs::create_dir_all(&masks).map_err(|e| failed("create", &masks, e))?;
        let (metrics, updates) = (folder.join("metrics.jsonl"), masks.join("updates.jsonl"));
        // A mask update, and the begin of a stage, belong to the step that they precede; a figure to the steps done. On the test part a run is measured
        // where it ends: what it measured where it was stopped, a run that never stopped has not.
        let is_before = |line: &Value| {
            let begins = line["kind"] == "stage";
            step_of(line).is_some_and(|of| of < step || of == step && !begins)
        };
        cut(&metrics, |line| is_before(line) && line["part"] != "test")?;
        cut(&updates, |line| step_of(line).is_some_and(|of| of < step))?;
        Ok(Self {
            metrics: Lines::open(metrics)?,
            masks: Lines::open(updates)?,
            log: Lines::open(folder.join("log.txt"))?,
            times: Lines::open(folder.join(TIMES))?,
            from: step,
        })
    }

    pub fn listen(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::Started(s) => {
                let d = &s.device;
                let (step, steps, per_epoch) = (s.first_step, s.steps, s.steps_per_epoch);
                let begun =
                    json!({ "step": step, "steps": steps, "steps_per_epoch": per_epoch, "device": d });
                self.time("begun", begun)?;
                self.log.add(&format!(
                    "device {} on {} ({}, {}): {}",
                    d.adapter, d.backend, d.class, d.driver, d.reason
                ))?;
                self.log.add(&format!(
                    "data {}: {:?} samples; from step {} to {}",
                    s.data, s.samples, s.first_step, s.steps
                ))
            }
            Event::StageEntered(stage, _) => {
                self.log.add(&format!("stage {stage}"))?;
                // One that goes on was written when it began.
                let begins = stage.step >= self.from;
                if begins { self.metrics.add(&tagged("stage", json!(stage))) } else { Ok(()) }
            }
            Event::Logged(log) => {
                self.metrics.add(&tagged("train", json!(log)))?;
                self.time("logged", json!({ "step": log.step }))
            }
            Event::Evaluated(e) => self.metrics.add(&tagged("evaluation", json!(e))),
            Event::Measured { step, noise } => {
                self.metrics.add(&tagged("gradients", json!({ "step": step, "layers": noise })))
            }
            Event::MasksChanged(change, flips) => self.masks.add(&with_explored(json!(change), *flips)),
            Event::Removed { step, left } => self.log.add(&super::console::removed(*step, left)),
            Event::Recalibrated { step, batches } => {
                self.log.add(&format!("step {step}: {}", super::console::recalibrated(*batches)))
            }
            Event::Saved { step, path, best } => {
                let best = if *best { ", the best so far" } else { "" };
                self.log.add(&format!("step {step}: saved {}{best}", path.display()))
            }
            Event::Dumped { step, path } => self.log.add(&format!("step {step}: dumped {}", path.display())),
            Event::Warned(error) => self.log.add(&format!("warning: {error}")),
            Event::Finished(s) => self.log.add(&format!(
                "done: {} steps, test accuracy {}, digest {}",
                s.steps, s.test_accuracy, s.digest
            )),
            Event::Stepped { .. } | Event::Weights { .. } => Ok(()),
        }
    }

    /// Notes that a session ended after `step` steps: at the end of the run if `done`, else by what the error says, or
    /// where it was to stop. A session without this line was killed.
    pub fn end(&mut self, step: u64, done: bool, error: Option<&Error>) -> Result<()> {
        let (how, why) = match error {
            Some(error) if matches!(error.kind, Kind::Interrupted(_)) => ("stopped", Some(error.what())),
            Some(error) => ("failed", Some(error.what())),
            None if done => ("done", None),
            None => ("stopped", None),
        };
        why.map_or(Ok(()), |why| self.log.add(&format!("{how} after {step} steps: {why}")))?;
        self.time("ended", json!({ "step": step, "how": how, "why": why }))
    }

    /// Adds to `times.jsonl`: what, when in seconds since 1970, and the rest.
    fn time(&mut self, kind: &str, value: Value) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
        let mut line = json!({ "at": (now * 1e3).round() / 1e3 });
        if let (Some(line), Value::Object(fields)) = (line.as_object_mut(), value) {
            line.extend(fields);
        }
        self.times.add(&tagged(kind, line))
    }
}

/// When a run began, logged and ended, in its folder.
pub const TIMES: &str = "times.jsonl";

/// Writes what a run came to, beside its dense baseline, as `report.json`.
pub fn write_report(folder: &Path, summary: &Summary) -> Result<()> {
    let text = serde_json::to_string_pretty(summary).map_err(|e| Error::internal(e.to_string()))?;
    write_file_atomic(&folder.join("report.json"), format!("{text}\n").as_bytes())
}

/// Notes that a run has other running statistics, with what it is judged by now: in its `report.json`, if it has one, and in
/// its `log.txt`.
///
/// # Errors
/// `Kind::Data` where the report is damaged; what reading and writing report.
pub fn write_recalibrated(
    folder: &Path,
    (step, batches): (u64, u32),
    judged: &[Evaluation],
    digest: &str,
) -> Result<()> {
    let part = |part: Part| judged.iter().find(|one| one.part == part);
    let test = part(Part::Test).ok_or_else(|| Error::internal("no test part"))?;
    write_judged(&folder.join("report.json"), test, part(Part::Validation), digest)?;
    let line = format!("step {step}: {}", super::console::recalibrated(batches));
    Lines::open(folder.join("log.txt"))?
        .add(&format!("{line}; test accuracy {}, digest {digest}", test.accuracy))
}

/// Puts other figures into a report that is there.
fn write_judged(file: &Path, test: &Evaluation, validation: Option<&Evaluation>, digest: &str) -> Result<()> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(failed("read", file, e)),
    };
    let wrong =
        |e: serde_json::Error| Error::data(format!("{} is damaged", file.display())).at(e.to_string());
    let mut report: Value = serde_json::from_str(&text).map_err(wrong)?;
    let now = json!({
        "test_loss": test.loss, "test_accuracy": test.accuracy, "test_soft_accuracy": test.soft_accuracy,
        "test_nll": test.loss, "test_ece": test.ece, "test_aurc": test.aurc, "test_e_aurc": test.e_aurc,
        "test_bins": test.bins, "language": test.language, "digest": digest,
        "val_loss": validation.map(|e| e.loss), "val_accuracy": validation.map(|e| e.accuracy),
    });
    if let (Value::Object(report), Value::Object(now)) = (&mut report, now) {
        report.extend(now);
    }
    let text = serde_json::to_string_pretty(&report).map_err(|e| Error::internal(e.to_string()))?;
    write_file_atomic(file, format!("{text}\n").as_bytes())
}

fn tagged(kind: &str, value: Value) -> String {
    let mut object = serde_json::Map::from_iter([("kind".to_string(), json!(kind))]);
    if let Value::Object(fields) = value {
        object.extend(fields);
    }
    Value::Object(object).to_string()
}

/// A mask update with, by layer, the weights that were ever kept (`explored`; over all of them it is ITOP's R_s).
fn with_explored(mut change: Value, flips: Option<&Flips>) -> String {
    for layer in change["layers"].as_array_mut().into_iter().flatten() {
        let own = flips.and_then(|flips| flips.layers.iter().find(|own| layer["name"] == *own.name));
        if let Some(own) = own {
            layer["explored"] = json!(own.explored);
        }
    }
    change.to_string()
}

fn step_of(line: &Value) -> Option<u64> {
    line["step"].as_u64()
}

/// Keeps the lines that pass; a last line that was cut off by a crash goes.
fn cut(path: &Path, keep: impl Fn(&Value) -> bool) -> Result<()> {
    let Ok(file) = File::open(path) else { return Ok(()) };
    let mut kept = String::new();
    for line in BufReader::new(file).lines() {
        let line = line.map_err(|e| failed("read", path, e))?;
        if serde_json::from_str::<Value>(&line).is_ok_and(|value| keep(&value)) {
            kept.push_str(&line);
            kept.push('\n');
        }
    }
    write_file_atomic(path, kept.as_bytes())
}

/// The lines of a JSONL file, in order.
pub fn read_lines(path: &Path) -> Result<Vec<Value>> {
    let text = fs::read_to_string(path).map_err(|e| failed("read", path, e))?;
    let parse = |line: &str| {
        serde_json::from_str(line)
            .map_err(|e| Error::checkpoint(format!("{} is damaged", path.display())).at(e.to_string()))
    };
    text.lines().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_after_the_checkpoint_and_torn_ones_are_cut() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("metrics.jsonl");
        fs::write(&path, "{\"step\":1}\n{\"step\":2}\n{\"step\":3}\n{\"st").unwrap();
        cut(&path, |line| step_of(line).is_some_and(|step| step <= 2)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"step\":1}\n{\"step\":2}\n");
        assert_eq!(read_lines(&path).unwrap().len(), 2);
        cut(&home.path().join("absent"), |_| true).unwrap();
    }

    #[test]
    fn a_line_is_not_added_to_a_torn_one() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("log.txt");
        for (before, after) in [("", "new\n"), ("whole\n", "whole\nnew\n"), ("to", "to\nnew\n")] {
            fs::write(&path, before).unwrap();
            Lines::open(path.clone()).unwrap().add("new").unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), after);
        }
    }
}
