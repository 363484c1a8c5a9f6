//! Which weights a command takes of a run that keeps averages of them.

use crate::store::Arrays;
use crate::train::averaged;

#[derive(clap::Args, Clone, Copy, Debug)]
pub struct Weights {
    /// Take the weights of the last step, where a run has averages of them (optim.ema)
    #[arg(long)]
    no_ema: bool,
}

impl Weights {
    /// Whether these are the weights that a run is judged by, whatever it has.
    pub fn are_judged(self) -> bool {
        !self.no_ema
    }
    /// The arrays with what is asked for, and what that is where there is a choice.
    pub fn of(self, arrays: Arrays) -> (Arrays, Option<&'static str>) {
        let (by_average, has) = averaged(arrays.clone());
        match (has, self.no_ema) {
            (false, _) => (arrays, None),
            (true, false) => (by_average, Some("averages (optim.ema)")),
            (true, true) => (arrays, Some("of the last step, no averages")),
        }
    }
    /// As [`Weights::of`], telling a person which these are.
    pub fn told(self, arrays: Arrays) -> Arrays {
        let (arrays, which) = self.of(arrays);
        if let Some(which) = which {
            eprintln!("weights: {which}");
        }
        arrays
    }
}
