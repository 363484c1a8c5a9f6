//! Measuring which variants of the products are the fastest on a device, in the time that a run has for it.
//!
//! Comparisons are made in the order of what they may save, each if what is left of the budget is thought to suffice. What
//! is not compared takes the fixed default, and the choices say why. See docs/decisions/0025.

use std::time::Instant;

use super::race;
use crate::error::Result;
use crate::gpu::{Gpu, Kernel, Plan};

mod budget;
pub mod dense;
mod jobs;
mod left;
pub mod packed;
pub mod plausible;

pub use budget::{Costs, Kind, Workload};
pub use jobs::{Outcome, Weight, run, workload};
pub use left::Left;

/// How much is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effort {
    /// Nothing: the fixed defaults.
    #[default]
    Off,
    /// What may win, as long as it takes a small part of the run.
    Brief,
    /// Every variant that fits, however long it takes.
    Full,
}

/// A comparison that begins.
pub struct Progress<'a> {
    /// How many came before, of how many.
    pub done: usize,
    pub of: usize,
    pub what: &'a str,
}

/// Keeps the time while variants are compared.
pub struct Meter<'a> {
    gpu: &'a Gpu,
    /// The run that is measured for; `None` if time does not matter.
    work: Option<Workload>,
    costs: Costs,
    began: Instant,
    repeats: usize,
    tell: &'a mut dyn FnMut(&Progress),
}

/// Repeats of a comparison, unless it is for a table.
const REPEATS: usize = 3;
/// Replays of a plan in a race, about: two at first, three more, and rounds among the fastest.
const REPLAYS: f64 = 6.0;

impl<'a> Meter<'a> {
    /// For a run, as long as its budget lasts.
    pub fn brief(gpu: &'a Gpu, work: Workload, tell: &'a mut dyn FnMut(&Progress)) -> Self {
        Self::new(gpu, Some(work), REPEATS, tell)
    }
    /// All variants that fit, without a budget.
    pub fn full(gpu: &'a Gpu, tell: &'a mut dyn FnMut(&Progress)) -> Self {
        Self::new(gpu, None, REPEATS, tell)
    }
    /// The number of repeats for a table.
    pub fn repeats(mut self, repeats: usize) -> Self {
        self.repeats = repeats;
        self
    }
    fn new(gpu: &'a Gpu, work: Option<Workload>, repeats: usize, tell: &'a mut dyn FnMut(&Progress)) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let costs = Costs::new(gpu.is_software(), cores);
        Self { gpu, work, costs, began: Instant::now(), repeats, tell }
    }

    pub fn gpu(&self) -> &'a Gpu {
        self.gpu
    }
    pub fn is_full(&self) -> bool {
        self.work.is_none()
    }
    pub fn costs(&self) -> &Costs {
        &self.costs
    }
    /// Seconds that measuring may take in all, as far as is known by now.
    pub fn limit(&self) -> f64 {
        self.work.map_or(f64::INFINITY, |work| self.costs.limit(work))
    }
    pub fn spent(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }
    /// Whether there is time for what is thought to take so many seconds.
    pub fn affords(&self, seconds: f64) -> bool {
        self.spent() + seconds <= self.limit()
    }

    /// Seconds that a race among `count` plans is thought to take, each of `seconds`.
    pub fn race_seconds(&self, count: usize, seconds: f64, compiling: f64) -> f64 {
        compiling + count as f64 * REPLAYS * seconds
    }
    /// Seconds to compile those of some kernels that are not there yet.
    pub fn compiling(&self, kernels: impl Iterator<Item = Kernel>, kind: Kind) -> f64 {
        let missing = kernels.filter(|kernel| !self.gpu.has_compiled(kernel)).count();
        missing as f64 * self.costs.compile(kind)
    }
    /// Takes the rate of the device from a dense product of so many operations.
    pub fn learn(&mut self, flops: u64, ms: f64) {
        self.costs.learn(flops as f64, ms / 1e3);
    }
    /// The least milliseconds of each plan. `guessed` seconds are to compile them; of dense products `flops` says how large
    /// they are. `None` if time ran out before each was timed.
    pub fn race(&mut self, plans: &[Plan], guessed: f64, flops: Option<u64>) -> Result<Option<Vec<f64>>> {
        let in_time = || self.spent() < self.limit();
        let Some(times) = race::least(plans, self.repeats, &in_time)? else { return Ok(None) };
        let kind = if flops.is_some() { Kind::Block } else { Kind::Packed };
        self.costs.learn_compiling(kind, guessed, times.compiling / 1e3);
        if let Some(flops) = flops {
            let fastest = times.least.iter().copied().fold(f64::INFINITY, f64::min);
            self.learn(flops, fastest);
        }
        Ok(Some(times.least))
    }
}
