//! The kernels of a run: fixed defaults, or what was measured to be the fastest here; and what is said of that.

use std::sync::{Arc, Mutex};

use super::cache;
use super::waiting::{State, Waiting};
use crate::error::Result;
use crate::ops::measure::{Effort, Outcome, Progress};
use crate::ops::variants::Choices;

/// How kernels are chosen.
#[derive(clap::Args, Clone, Copy)]
pub struct Autotune {
    /// How kernels are chosen: `brief` measures what may be faster than the fixed defaults, for 2 % of the run and 10 s at
    /// most; `full` measures all, however long it takes; `off` takes the defaults
    #[arg(long, value_name = "HOW", default_value = "brief", conflicts_with = "no_autotune")]
    autotune: How,
    /// Take the fixed default kernels instead of measuring which is fastest here: `--autotune off`
    #[arg(long)]
    no_autotune: bool,
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq)]
enum How {
    Off,
    Brief,
    Full,
}

impl Autotune {
    pub fn effort(self) -> Effort {
        match self.autotune {
            _ if self.no_autotune => Effort::Off,
            How::Off => Effort::Off,
            How::Brief => Effort::Brief,
            How::Full => Effort::Full,
        }
    }
}

/// The kernel variants for a run: measured as far as there is time, or the fixed defaults.
pub fn choices(run: &cache::Run, effort: Effort, quiet: bool) -> Result<Choices> {
    if effort == Effort::Off || !run.recipe.run.autotune {
        return Ok(Choices::default());
    }
    let state = Arc::new(Mutex::new(State::default()));
    let told = state.clone();
    let show = move || told.lock().unwrap().clone();
    let waiting = Waiting::new(quiet, "kernels  timing those that may be the fastest here", show);
    let mut tell = |progress: &Progress| {
        let Progress { done, of, what } = *progress;
        *state.lock().unwrap() = State { done: done as u64, of: of as u64, what: what.into() };
    };
    let (choices, outcome) = cache::choices(run, effort, &mut tell)?;
    drop(waiting);
    if let Some(line) = said(&outcome).filter(|_| !quiet) {
        eprintln!("{line}");
    }
    Ok(choices)
}

/// A budget of less seconds is that of a run which is over before kernels matter.
const SHORT: f64 = 0.5;

/// What was left out, if anything was.
fn said(outcome: &Outcome) -> Option<String> {
    let Outcome { made, left, seconds, limit } = outcome;
    (*left > 0 && *limit >= SHORT).then(|| {
        format!(
            "kernels  {left} of {} comparisons left out, which take the defaults: {seconds:.1} s spent of {limit:.1} s, 2 % of \
             the run; all: --autotune full",
            made + left
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_left_out_is_worth_a_line() {
        let outcome = |left, limit| Outcome { made: 3, left, seconds: 0.26, limit };
        assert_eq!((said(&outcome(0, 1.0)), said(&outcome(2, 0.3))), (None, None));
        let line = said(&outcome(2, 1.0)).unwrap();
        for words in ["2 of 5 comparisons left out", "0.3 s spent of 1.0 s"] {
            assert!(line.contains(words), "{words} is not in {line}");
        }
    }
}
