//! How long measuring may take, and what work is thought to take: arithmetic alone.

/// The share of a run's time that it may take to find the run's fastest kernels, and the most seconds.
const SHARE: f64 = 0.02;
const MOST_SECONDS: f64 = 10.0;

/// What a run does, as far as its time goes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Workload {
    pub steps: f64,
    /// Operations of the products of a step.
    pub flops: f64,
    pub dispatches: f64,
}

/// Kernels that take about as long to compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Register blocks, unrolled.
    Block,
    /// Those that are the fixed defaults: a driver that remembers kernels is likely to have compiled them for another run.
    Default,
    Packed,
}

/// What work is thought to take on a device: guesses, until something was timed.
#[derive(Clone, Debug)]
pub struct Costs {
    flops_per_second: f64,
    dispatch_seconds: f64,
    /// What it took to compile blocks, and packed kernels, over the guess; `None` where nothing was compiled yet.
    blocks: Option<f64>,
    packed: Option<f64>,
    software: bool,
    /// Of the largest product that was timed: small ones say little of the rate.
    timed_flops: f64,
}

impl Costs {
    pub fn new(software: bool, cores: usize) -> Self {
        let (flops_per_second, dispatch_seconds) =
            if software { (15e9 * cores as f64, 50e-6) } else { (2e12, 10e-6) };
        let (blocks, packed, timed_flops) = (None, None, 0.0);
        Self { flops_per_second, dispatch_seconds, blocks, packed, software, timed_flops }
    }
    /// A product by the fastest dense kernels.
    pub fn product(&self, flops: f64) -> f64 {
        self.dispatch_seconds + flops / self.flops_per_second
    }
    pub fn run(&self, work: Workload) -> f64 {
        work.steps * (work.dispatches * self.dispatch_seconds + work.flops / self.flops_per_second)
    }
    /// Seconds that measuring for such a run may take.
    pub fn limit(&self, work: Workload) -> f64 {
        (SHARE * self.run(work)).min(MOST_SECONDS)
    }
    /// Seconds to compile one kernel: a software adapter takes 0.7 to 3 s for a block and less than 0.1 for others. Drivers
    /// keep what they compiled, so that it may be a hundredth the next time.
    pub fn compile(&self, kind: Kind) -> f64 {
        let guess = match (self.software, kind) {
            (true, Kind::Block | Kind::Default) => 1.3,
            (true, Kind::Packed) => 0.08,
            (false, _) => 0.1,
        };
        let ratio = if kind == Kind::Block { self.blocks } else { self.packed };
        guess * ratio.unwrap_or(1.0)
    }

    /// Takes the rate from a product's time.
    pub fn learn(&mut self, flops: f64, seconds: f64) {
        let computing = seconds - self.dispatch_seconds;
        if flops >= self.timed_flops && computing > self.dispatch_seconds {
            self.flops_per_second = flops / computing;
            self.timed_flops = flops;
        }
    }
    /// Takes what some kernels took to compile in place of the guess for them; where there is more than a guess, half of it.
    pub fn learn_compiling(&mut self, kind: Kind, guessed: f64, took: f64) {
        if guessed > 0.0 {
            let known = if kind == Kind::Block { &mut self.blocks } else { &mut self.packed };
            let ratio = (took / guessed).clamp(0.05, 3.0);
            *known = Some(known.map_or(ratio, |before| before * (0.5 + 0.5 * ratio)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fiftieth_of_the_run_and_at_most_ten_seconds() {
        let costs = Costs::new(true, 2);
        // 30 GFLOP/s: 10 ms of products a step, and 20 dispatches of 50 us.
        let work = |steps| Workload { steps, flops: 300e6, dispatches: 20.0 };
        assert!((costs.run(work(1000.0)) - 11.0).abs() < 1e-9);
        assert!((costs.limit(work(1000.0)) - 0.22).abs() < 1e-9);
        assert_eq!(costs.limit(work(1e6)), 10.0);
        assert_eq!(costs.limit(Workload::default()), 0.0);
    }

    #[test]
    fn the_largest_product_says_how_fast_a_device_is() {
        let mut costs = Costs::new(true, 2);
        costs.learn(1e9, 0.02 + 50e-6);
        assert!((costs.product(5e9) - 0.1 - 50e-6).abs() < 1e-9);
        costs.learn(1e6, 1e-3); // ten times as slow, mostly for its dispatch
        costs.learn(2e9, 50e-6); // no time at all
        assert!((costs.product(5e9) - 0.1 - 50e-6).abs() < 1e-9);
        let run = Workload { steps: 1000.0, flops: 5e9, dispatches: 0.0 };
        assert!((costs.limit(run) - 2.0).abs() < 1e-9, "2 % of 100 s");
    }

    #[test]
    fn what_a_driver_has_kept_is_soon_expected_to_cost_little() {
        let mut costs = Costs::new(true, 2);
        assert!(costs.compile(Kind::Block) > 5.0 * costs.compile(Kind::Packed));
        costs.learn_compiling(Kind::Packed, 0.3, 0.001);
        let kept = costs.compile(Kind::Default);
        assert!(kept < 0.1, "{kept}");
        // Other blocks were never asked for.
        assert_eq!(costs.compile(Kind::Block), Costs::new(true, 2).compile(Kind::Block));
        costs.learn_compiling(Kind::Packed, 0.0, 0.5); // nothing was compiled
        costs.learn_compiling(Kind::Packed, 0.2, 0.2);
        assert_eq!(costs.compile(Kind::Default), kept);
        costs.learn_compiling(Kind::Packed, 0.1, 0.2);
        assert!((costs.compile(Kind::Default) / kept - 1.5).abs() < 1e-9, "half of the way");
    }
}
