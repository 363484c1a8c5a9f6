//! Which of some recorded plans is the fastest, on a machine where a time is never twice the same.

use crate::error::Result;
use crate::gpu::Plan;

/// Plans that are at most so much slower than the fastest are timed again, in turns with it.
const CLOSE: f64 = 1.3;
/// How often, where a replay takes less than [`SHORT_MS`]; what takes longer is disturbed less.
const ROUNDS: usize = 8;
const SHORT_MS: f64 = 3.0;
/// What is so much slower at its first time is not timed again.
const HOPELESS: f64 = 3.0;

/// What some plans took.
#[derive(Debug, PartialEq)]
pub struct Times {
    /// The least milliseconds of each.
    pub least: Vec<f64>,
    /// What their first replays took besides: drivers may compile in these.
    pub compiling: f64,
}

/// The least milliseconds of each plan: of some repeats, and of more where it may be the fastest. `None` if `may_go_on`
/// says no before each was timed once; later, times are taken as they are.
pub fn least(plans: &[Plan], repeats: usize, may_go_on: &dyn Fn() -> bool) -> Result<Option<Times>> {
    race(plans.len(), repeats, &mut |index| plans[index].time_once(), may_go_on)
}

fn race(
    count: usize,
    repeats: usize,
    once: &mut dyn FnMut(usize) -> Result<f64>,
    may_go_on: &dyn Fn() -> bool,
) -> Result<Option<Times>> {
    let (mut ms, mut compiling) = (vec![f64::INFINITY; count], 0.0);
    for (index, ms) in ms.iter_mut().enumerate() {
        if !may_go_on() {
            return Ok(None);
        }
        let first = once(index)?;
        *ms = once(index)?;
        compiling += (first - *ms).max(0.0);
    }
    let fastest = |ms: &[f64]| ms.iter().copied().fold(f64::INFINITY, f64::min);
    // Again with those that have a chance, then with those that are close: one replay that is not counted, since another
    // plan has had the caches, and some that are.
    for round in 0..=ROUNDS {
        let best = fastest(&ms);
        let (bound, counted) = if round == 0 { (HOPELESS, repeats.saturating_sub(1)) } else { (CLOSE, 2) };
        let again: Vec<usize> = (0..count).filter(|&index| ms[index] <= best * bound).collect();
        if round > 0 && (again.len() < 2 || best > SHORT_MS) {
            break;
        }
        for index in again {
            if !may_go_on() {
                return Ok(Some(Times { least: ms, compiling }));
            }
            if counted > 0 {
                once(index)?;
            }
            for _ in 0..counted {
                ms[index] = ms[index].min(once(index)?);
            }
        }
    }
    Ok(Some(Times { least: ms, compiling }))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Races entries of these milliseconds for so many replays: the result, and how often each was replayed.
    fn of(ms: &[f64], most: usize) -> (Option<Times>, Vec<usize>) {
        let (mut counts, replays) = (vec![0; ms.len()], Cell::new(0));
        let mut once = |index: usize| {
            counts[index] += 1;
            replays.set(replays.get() + 1);
            // The first compiles.
            Ok(if counts[index] == 1 { ms[index] + 5.0 } else { ms[index] })
        };
        let times = race(ms.len(), 3, &mut once, &|| replays.get() < most).unwrap();
        (times, counts)
    }

    #[test]
    fn what_is_much_slower_is_timed_once_and_what_is_close_often() {
        let (times, counts) = of(&[1.0, 1.2, 2.0, 3.5], usize::MAX);
        assert_eq!(times, Some(Times { least: vec![1.0, 1.2, 2.0, 3.5], compiling: 20.0 }));
        assert_eq!(counts, [29, 29, 5, 2]);
        assert_eq!(of(&[10.0, 11.0], usize::MAX).1, [5, 5], "long ones are not disturbed");
    }

    #[test]
    fn a_race_that_is_cut_short_has_no_result_or_an_early_one() {
        assert_eq!(of(&[1.0, 2.0], 0), (None, vec![0, 0]));
        assert_eq!(of(&[1.0, 2.0], 1), (None, vec![2, 0]));
        let (times, counts) = of(&[1.0, 2.0], 4);
        assert_eq!((times.unwrap().least, counts), (vec![1.0, 2.0], vec![2, 2]));
    }
}
