//! A run as its folder shows it while it trains: figures so far, pace, and whether a process is at it. Only read, never
//! written.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::report::files::TIMES;
use crate::report::history::short;
use crate::train::{RunFolder, checkpoint};

mod curve;
mod pace;
mod picture;
mod state;
mod tail;
mod words;

pub use curve::{Chart, Curve};
pub use picture::{Look, picture};
pub use state::State;
pub use words::news;

use pace::Pace;
use tail::Tail;

/// What is known of a run, and how far each of its files was read.
pub struct Live {
    pub folder: PathBuf,
    times: Tail,
    metrics: Tail,
    updates: Tail,
    /// Whether there was a run when its files had been read last.
    is_there: bool,
    /// Whether a process trained in the folder then, and when the last one locked it.
    held: Option<bool>,
    locked: Option<SystemTime>,
    /// The last session that was begun, and the words it ended with.
    pub session: Option<Session>,
    pub ended: Option<Value>,
    pub known: Known,
    /// `report.json`, and when it was written.
    report: Option<(SystemTime, Value)>,
}

/// A part of a run without interruption.
pub struct Session {
    /// When it began: seconds since 1970.
    pub at: f64,
    /// Steps that were done before.
    pub first: u64,
    /// Steps of the run, as far as is known.
    pub steps: u64,
    pub steps_per_epoch: u64,
    pub device: String,
    pub pace: Pace,
}

/// Loss and accuracy over steps.
#[derive(Default)]
pub struct Figures {
    pub loss: Curve,
    pub accuracy: Curve,
    /// The last one, where it was recorded: it is not the exponential of every loss.
    pub perplexity: Option<f64>,
}

/// A masked layer.
pub struct Layer {
    pub name: String,
    pub kept: u64,
    pub total: u64,
}

/// What the lines of a run say.
#[derive(Default)]
pub struct Known {
    /// Steps done.
    pub step: u64,
    pub epoch: f64,
    pub train: Figures,
    pub validation: Figures,
    pub test: Figures,
    pub learning_rate: Option<f64>,
    /// The last mask update.
    update: Option<Value>,
}

impl Known {
    fn take(&mut self, line: &Value) {
        let Some(step) = line["step"].as_u64() else { return };
        self.step = self.step.max(step);
        self.epoch = line["epoch"].as_f64().unwrap_or(self.epoch);
        let (figures, keys) = match (line["kind"].as_str(), line["part"].as_str()) {
            (Some("train"), _) => {
                self.learning_rate = line["learning_rate"].as_f64();
                (&mut self.train, ["train_loss", "train_accuracy"])
            }
            (Some("evaluation"), Some("validation")) => (&mut self.validation, ["loss", "accuracy"]),
            (Some("evaluation"), _) => (&mut self.test, ["loss", "accuracy"]),
            _ => return,
        };
        let [loss, accuracy] = keys.map(|key| (step as f64, line[key].as_f64().unwrap_or(f64::NAN)));
        figures.loss.push(loss);
        figures.accuracy.push(accuracy);
        figures.perplexity = line["language"]["perplexity"].as_f64();
    }

    /// The masked layers after the last mask update.
    pub fn layers(&self) -> Vec<Layer> {
        let layers = self.update.as_ref().and_then(|update| update["layers"].as_array());
        let layer = |line: &Value| {
            let [kept, total] = ["kept", "total"].map(|key| line[key].as_u64().unwrap_or(0));
            Layer { name: short(line["name"].as_str().unwrap_or("?")).to_string(), kept, total }
        };
        layers.into_iter().flatten().map(layer).collect()
    }

    /// Kept weights, all maskable weights, and the step of the last mask update.
    pub fn kept(&self) -> Option<[u64; 3]> {
        let update = self.update.as_ref()?;
        let [kept, total, step] = ["kept", "total", "step"].map(|key| update[key].as_u64());
        Some([kept?, total?, step?])
    }
}

impl Live {
    /// A run's folder, which need not exist yet.
    ///
    /// # Errors
    /// `Kind::Checkpoint` where something else lies there.
    pub fn open(folder: &Path) -> Result<Self> {
        let is_empty = || std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
        if folder.exists() && !is_run(folder) && !is_empty() {
            return Err(Error::checkpoint(format!("{} is not the folder of a run", folder.display()))
                .at("expected: a folder with config.toml, or one that does not exist yet")
                .hint("the folder that `coppice train` named, such as runs/NAME"));
        }
        let tail = |file: &str| Tail::new(folder.join(file));
        Ok(Self {
            folder: folder.to_path_buf(),
            times: tail(TIMES),
            metrics: tail("metrics.jsonl"),
            updates: tail("masks/updates.jsonl"),
            is_there: false,
            held: None,
            locked: None,
            session: None,
            ended: None,
            known: Known::default(),
            report: None,
        })
    }

    /// Reads what is new, and hands it back in the order in which it happened. Mask updates have the kind `masks`.
    pub fn look(&mut self) -> Result<Vec<Value>> {
        let mut news = Vec::new();
        // First: what a process that is gone had to say is in the files.
        let before = RunFolder::held_since(&self.folder);
        self.held = RunFolder::is_held(&self.folder);
        // Where a run goes on, what lay after its checkpoint is gone: the rest is read again, and is no news.
        let mut again = self.metrics.is_cut() || self.updates.is_cut();
        let mut from = if again { u64::MAX } else { 0 };
        for line in self.times.look()? {
            let (step, at) = (line["step"].as_u64().unwrap_or(0), line["at"].as_f64().unwrap_or(0.0));
            match line["kind"].as_str() {
                Some("begun") => {
                    let number = |key: &str| line[key].as_u64().unwrap_or(0);
                    self.session = Some(Session {
                        at,
                        first: step,
                        steps: number("steps"),
                        steps_per_epoch: number("steps_per_epoch"),
                        device: line["device"]["adapter"].as_str().unwrap_or("?").to_string(),
                        pace: Pace::new(at, step),
                    });
                    (self.ended, again, from) = (None, true, step);
                    news.push(line);
                }
                Some("logged") => self.session.iter_mut().for_each(|session| session.pace.log(at, step)),
                Some("ended") => self.ended = Some(line),
                _ => {}
            }
        }
        if again {
            self.known = Known::default();
            self.metrics.restart();
            self.updates.restart();
        }
        let metrics = self.metrics.look()?;
        metrics.iter().for_each(|line| self.known.take(line));
        // A stage and a mask update begin before their step: after what was logged when so many were done.
        let key = |line: &Value| 2 * line["step"].as_u64().unwrap_or(0) + u64::from(line["kind"] == "stage");
        let mut lines: Vec<(u64, Value)> = metrics.into_iter().map(|line| (key(&line), line)).collect();
        for mut line in self.updates.look()? {
            let step = line["step"].as_u64().unwrap_or(0);
            self.known.step = self.known.step.max(step);
            self.known.update = Some(line.clone());
            line["kind"] = json!("masks");
            lines.push((2 * step + 1, line));
        }
        lines.retain(|(key, _)| *key > from.saturating_mul(2));
        lines.sort_by_key(|(key, _)| *key);
        news.extend(lines.into_iter().map(|(_, line)| line));
        // Steps that a session ended with may not have been logged.
        let ended = self.ended.as_ref().and_then(|line| line["step"].as_u64());
        let first = self.session.as_ref().map(|session| session.first);
        self.known.step = ended.into_iter().chain(first).fold(self.known.step, u64::max);
        self.read_report()?;
        self.is_there = is_run(&self.folder);
        self.locked = RunFolder::held_since(&self.folder);
        if self.locked != before {
            // Somebody came while files were read, and may have had nothing to say yet.
            self.held = Some(true);
        }
        Ok(news)
    }

    /// The report that belongs to what was trained last: a run that goes on beyond its end has an earlier one.
    pub fn report(&self) -> Option<&Value> {
        let (written, report) = self.report.as_ref()?;
        let is_of_session = self.session.as_ref().is_none_or(|session| session.at <= seconds(*written));
        let steps = report["steps"].as_u64().unwrap_or(0);
        (is_of_session && steps >= self.known.step).then_some(report)
    }

    fn read_report(&mut self) -> Result<()> {
        let path = self.folder.join("report.json");
        let Some(written) = std::fs::metadata(&path).and_then(|file| file.modified()).ok() else {
            self.report = None;
            return Ok(());
        };
        if self.report.as_ref().is_some_and(|(then, _)| *then == written) {
            return Ok(());
        }
        let text = std::fs::read_to_string(&path).map_err(|e| Error::file("read", &path, e))?;
        let report = serde_json::from_str(&text)
            .map_err(|e| Error::checkpoint(format!("{} is damaged", path.display())).at(e.to_string()))?;
        self.report = Some((written, report));
        Ok(())
    }

    /// Steps of the run, if that is known.
    pub fn steps(&self) -> Option<u64> {
        let done = self.report().filter(|report| report["done"] == true);
        let session = self.session.as_ref().map(|session| session.steps);
        done.and_then(|report| report["steps"].as_u64()).or(session)
    }

    /// The step of the last checkpoint.
    pub fn checkpoint(&self) -> Option<u64> {
        checkpoint::list(&self.folder).ok()?.last().copied()
    }

    /// Whether the last process to lock the folder has begun its session.
    fn has_begun(&self) -> bool {
        let session = self.session.as_ref().filter(|_| self.ended.is_none());
        session.is_some_and(|session| self.locked.is_none_or(|since| seconds(since) <= session.at))
    }

    /// What a script may want to know.
    pub fn json(&self) -> Value {
        let state = State::of(self);
        let last = |curve: &Curve| curve.last().map(|(_, value)| *value);
        let figures = |own: &Figures| json!({ "loss": last(&own.loss), "accuracy": last(&own.accuracy) });
        let layer = |layer: &Layer| json!({ "name": layer.name, "kept": layer.kept, "total": layer.total });
        let pace = self.session.as_ref().map(|session| &session.pace);
        json!({
            "schema": 1, "run": self.folder.display().to_string(), "state": state.name(), "why": state.why(),
            "resumed_at": self.session.as_ref().map(|session| session.first).filter(|first| *first > 0),
            "step": self.known.step, "steps": self.steps(), "epoch": self.known.epoch,
            "steps_per_epoch": self.session.as_ref().map(|session| session.steps_per_epoch),
            "checkpoint": self.checkpoint(), "device": self.session.as_ref().map(|session| &session.device),
            "ms_per_step": pace.and_then(Pace::ms_per_step), "seconds_left": state.seconds_left(self),
            "learning_rate": self.known.learning_rate, "train": figures(&self.known.train),
            "validation": figures(&self.known.validation),
            "test": (!self.known.test.loss.is_empty()).then(|| figures(&self.known.test)),
            "kept": self.known.kept().map(|[kept, ..]| kept), "total": self.known.kept().map(|[_, total, _]| total),
            "layers": self.known.layers().iter().map(layer).collect::<Vec<_>>(),
        })
    }
}

fn is_run(folder: &Path) -> bool {
    ["config.toml", "lock"].iter().any(|file| folder.join(file).is_file())
}

/// Seconds since 1970.
fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

#[cfg(test)]
#[path = "live_tests.rs"]
mod tests;
