//! Whether a run is going on, and if not, why: by the lock of its folder and the last words in it.

use std::time::SystemTime;

use super::{Live, seconds};

/// Where a run stands.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// There is no folder, or an empty one.
    NotBegun,
    /// A process holds the folder, and has not begun to train.
    Preparing,
    /// After the first session its first step is more than 0.
    Running {
        first: u64,
    },
    /// All steps are done; the dense network is measured beside them.
    Comparing,
    Done,
    /// By a signal or where it was to stop.
    Stopped {
        why: Option<String>,
    },
    /// By an error.
    Failed {
        why: Option<String>,
    },
    /// No process is there, and none said that it ended.
    Crashed,
}

/// Where a file system has no locks: seconds without a word after which nobody trains there.
const SILENCE: f64 = 600.0;
/// Seconds after which a process that made the folder of a run has locked it.
const YOUNG: f64 = 2.0;

impl State {
    pub fn of(live: &Live) -> Self {
        if !live.is_there {
            return State::NotBegun;
        }
        let (session, ended) = (live.session.as_ref(), live.ended.as_ref());
        let speaks = || session.and_then(|s| s.pace.since(now())).is_some_and(|seconds| seconds < SILENCE);
        let is_done = || live.report().is_some_and(|report| report["done"] == true);
        if live.held.unwrap_or_else(|| ended.is_none() && speaks()) {
            return match session.filter(|_| live.has_begun()) {
                None => State::Preparing,
                Some(_) if is_done() => State::Comparing,
                Some(session) => State::Running { first: session.first },
            };
        }
        let why = || ended.and_then(|line| Some(line["why"].as_str()?.to_string()));
        match ended.and_then(|line| line["how"].as_str()) {
            Some("stopped") => State::Stopped { why: why() },
            Some("failed") => State::Failed { why: why() },
            Some("done") => State::Done,
            None if session.is_none() && live.locked.is_some_and(is_young) => State::Preparing,
            // The last words of runs of older versions are their reports.
            _ if is_done() => State::Done,
            _ if session.is_none() && live.report().is_some() => State::Stopped { why: None },
            _ => State::Crashed,
        }
    }

    /// Nothing more will come, unless somebody goes on with the run.
    pub fn is_over(&self) -> bool {
        !matches!(self, State::NotBegun | State::Preparing | State::Running { .. } | State::Comparing)
    }

    pub fn name(&self) -> &'static str {
        match self {
            State::NotBegun => "not begun",
            State::Preparing => "preparing",
            State::Running { .. } => "running",
            State::Comparing => "comparing",
            State::Done => "done",
            State::Stopped { .. } => "stopped",
            State::Failed { .. } => "failed",
            State::Crashed => "crashed",
        }
    }

    /// The words of the error or the signal that ended it.
    pub fn why(&self) -> Option<&str> {
        match self {
            State::Stopped { why } | State::Failed { why } => why.as_deref(),
            _ => None,
        }
    }

    /// For people, in a line.
    pub fn told(&self, live: &Live) -> String {
        let resume = match live.checkpoint() {
            Some(step) => format!("`coppice resume` goes on from step {step}"),
            None => "no checkpoint was saved yet; `coppice resume` begins at step 0".to_string(),
        };
        let because = |why: &Option<String>| why.as_ref().map_or(String::new(), |why| format!(": {why}"));
        match self {
            State::NotBegun => "not begun: there is nothing in the folder yet".into(),
            State::Preparing if live.session.is_some() => "being resumed: data, weights, kernels".into(),
            State::Preparing => "beginning: data, weights, kernels".into(),
            State::Running { first: 0 } => "running".into(),
            State::Running { first } => format!("running, resumed at step {first}"),
            State::Comparing => "done; the dense network is measured beside it".into(),
            State::Done => "done".into(),
            // What a signal leaves says so itself.
            State::Stopped { why } => format!("{}; {resume}", why.as_deref().unwrap_or("stopped")),
            State::Failed { why } => format!("failed{}; {resume}", because(why)),
            State::Crashed => format!("crashed, or was killed; {resume}"),
        }
    }

    /// Seconds until the last step, while it runs.
    pub fn seconds_left(&self, live: &Live) -> Option<f64> {
        let session = live.session.as_ref().filter(|_| matches!(self, State::Running { .. }))?;
        session.pace.seconds_left(session.steps, now())
    }
}

fn is_young(locked: SystemTime) -> bool {
    (now() - seconds(locked)).abs() < YOUNG
}

/// Seconds since 1970.
fn now() -> f64 {
    seconds(SystemTime::now())
}
