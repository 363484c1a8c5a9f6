//! Which of some recorded plans is the fastest, on a machine where a time is never twice the same.

use crate::error::Result;
use crate::gpu::Plan;

/// Plans that are at most so much slower than the fastest are timed again, in turns with it.
const CLOSE: f64 = 1.3;
/// How often, where a replay takes less than [`SHORT_MS`]; what takes longer is disturbed less.
const ROUNDS: usize = 8;
const SHORT_MS: f64 = 3.0;

/// The least milliseconds of each plan: of some repeats, and of more where it may be the fastest.
pub fn least(plans: &[Plan], repeats: usize) -> Result<Vec<f64>> {
    let time = |plan: &Plan, repeats: usize| -> Result<f64> {
        Ok(plan.time(repeats)?.into_iter().fold(f64::INFINITY, f64::min))
    };
    let mut ms = plans.iter().map(|plan| time(plan, repeats)).collect::<Result<Vec<f64>>>()?;
    for _ in 0..ROUNDS {
        let fastest = ms.iter().copied().fold(f64::INFINITY, f64::min);
        let close: Vec<usize> = (0..ms.len()).filter(|&index| ms[index] <= fastest * CLOSE).collect();
        if close.len() < 2 || fastest > SHORT_MS {
            break;
        }
        for index in close {
            ms[index] = ms[index].min(time(&plans[index], 2)?);
        }
    }
    Ok(ms)
}
