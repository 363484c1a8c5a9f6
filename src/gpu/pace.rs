//! How much work goes into one submission: aimed at 50 ms, so that no driver's watchdog strikes.
//!
//! Only the grouping of dispatches changes, never their results.

use std::collections::VecDeque;
use std::time::Instant;

use super::plan::Cost;

/// Longer than this and the estimate is doubled at once.
const HARD_LIMIT_SECONDS: f64 = 0.5;
/// Submissions that may be under way at once.
const IN_FLIGHT: usize = 2;

/// Estimates how long dispatches take and learns from how long submissions took.
pub struct Pace {
    aim_seconds: f64,
    flops_per_second: f64,
    bytes_per_second: f64,
    dispatch_seconds: f64,
    /// Measured over estimated.
    scale: f64,
    under_way: VecDeque<(wgpu::SubmissionIndex, f64, Instant)>,
    last_done: Option<Instant>,
}

impl Pace {
    /// Starts with low guesses: a software adapter at 5 GFLOP/s, any other at 500.
    pub fn new(software: bool, aim_seconds: f64) -> Self {
        let (flops_per_second, bytes_per_second) = if software { (5e9, 1.5e9) } else { (5e11, 5e10) };
        let dispatch_seconds = if software { 40e-6 } else { 5e-6 };
        Self {
            aim_seconds,
            flops_per_second,
            bytes_per_second,
            dispatch_seconds,
            scale: 1.0,
            under_way: VecDeque::new(),
            last_done: None,
        }
    }

    /// The seconds that a dispatch is thought to take.
    pub fn estimate(&self, cost: Cost) -> f64 {
        let work = cost.flops as f64 / self.flops_per_second + cost.bytes as f64 / self.bytes_per_second;
        self.dispatch_seconds + work * self.scale
    }
    pub fn aim_seconds(&self) -> f64 {
        self.aim_seconds
    }
    /// Into how many dispatches one of this cost is cut. Fixed when a plan is recorded.
    pub fn slices(&self, cost: Cost, groups: u32) -> u32 {
        ((self.estimate(cost) / self.aim_seconds).ceil() as u32).clamp(1, groups.max(1))
    }

    /// Notes a submission; returns one that has to be waited for before the next.
    pub fn submitted(
        &mut self,
        index: wgpu::SubmissionIndex,
        estimate: f64,
    ) -> Option<wgpu::SubmissionIndex> {
        self.under_way.push_back((index, estimate, Instant::now()));
        let oldest = self.under_way.front().filter(|_| self.under_way.len() > IN_FLIGHT);
        oldest.map(|(index, _, _)| index.clone())
    }
    /// The oldest submission is done: compare its time with the estimate.
    pub fn done(&mut self) {
        let now = Instant::now();
        if let Some((_, estimate, began)) = self.under_way.pop_front() {
            let began = self.last_done.map_or(began, |last| last.max(began));
            let ratio = (now - began).as_secs_f64() / estimate;
            if estimate > 1e-3 {
                self.learn(ratio, (now - began).as_secs_f64());
            }
        }
        self.last_done = Some(now);
    }
    fn learn(&mut self, ratio: f64, seconds: f64) {
        let step = if seconds > HARD_LIMIT_SECONDS { 2.0 } else { ratio.clamp(0.9, 1.5) };
        self.scale = (self.scale * step).clamp(0.01, 1000.0);
    }
    /// Everything was waited for.
    pub fn forget(&mut self) {
        self.under_way.clear();
        self.last_done = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_work_is_cut_and_overruns_halve_the_chunk() {
        let mut pace = Pace::new(true, 0.05);
        let cost = Cost { flops: 2_000_000_000, bytes: 0 };
        let before = pace.slices(cost, 1000);
        assert_eq!(before, 9); // 0.4 s at 5 GFLOP/s, and the dispatch itself
        pace.learn(8.0, 0.6);
        assert_eq!(pace.slices(cost, 1000), 17);
        assert_eq!(pace.slices(cost, 3), 3, "never more slices than workgroups");
        assert_eq!(pace.slices(Cost::default(), 0), 1);
    }
}
