//! Numbers that move with the step: pruning rates and drop fractions, as pure functions in f64.
//!
//! Steps are 0-based. An annealing that starts where it ends is over at once.

use std::f64::consts::PI;

/// How much of `begin..end` has passed at `step`: 0 up to `begin`, 1 from `end` on.
pub fn progress(step: u64, begin: u64, end: u64) -> f64 {
    if step >= end {
        1.0
    } else if step <= begin {
        0.0
    } else {
        (step - begin) as f64 / (end - begin) as f64
    }
}

/// Half a cosine from `start` at progress 0 to `end` at progress 1; the end is met exactly.
///
/// `end + (start - end)/2 * (1 + cos(pi * progress))`: Loshchilov and Hutter, 2017, without restarts.
pub fn cosine(start: f64, end: f64, progress: f64) -> f64 {
    end + (start - end) / 2.0 * (1.0 + (PI * progress).cos())
}

/// The sparsity of a polynomial schedule: `initial` at progress 0, `target` at progress 1, the latter
/// exactly.
///
/// `target + (initial - target) * (1 - progress)^power`: Zhu and Gupta, 2017, where the power is 3.
pub fn polynomial(initial: f64, target: f64, power: f64, progress: f64) -> f64 {
    target + (initial - target) * (1.0 - progress).powf(power)
}

/// jaxpruner's polynomial schedule: cubic, always from 0, and one step ahead of the paper.
pub fn jaxpruner_polynomial(step: u64, target: f64, start: u64, end: u64) -> f64 {
    polynomial(0.0, target, 3.0, progress(step.saturating_add(1), start, end))
}

/// RigL's constant drop fraction, until `end`, from where nothing is dropped.
pub fn drop_constant(fraction: f64, step: u64, end: u64) -> f64 {
    if step < end { fraction } else { 0.0 }
}

/// RigL's cosine drop fraction: from `fraction` at `begin` to `floor`, there 0, at `end`. GraNet's runs over the whole
/// run, from .5 to .005.
///
/// RigL's published code divides the raw step, not `step - begin`, by the length; the paper's reading is taken
/// here.
pub fn drop_cosine(fraction: f64, floor: f64, step: u64, begin: u64, end: u64) -> f64 {
    cosine(fraction, floor, progress(step, begin, end))
}

/// RigL's exponential drop fraction: `floor + (fraction - floor) * (1 - progress)^power`, with a floor of 0.
pub fn drop_exponential(fraction: f64, floor: f64, power: f64, step: u64, begin: u64, end: u64) -> f64 {
    polynomial(fraction, floor, power, progress(step, begin, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tables give six decimals.
    fn assert_close(got: f64, want: f64, at: u64) {
        assert!((got - want).abs() <= 5e-7, "at {at}: got {got}, want {want}");
    }

    #[test]
    #[should_panic(expected = "want 0.25")]
    fn a_wrong_number_is_noticed() {
        assert_close(0.250001, 0.25, 0);
    }

    #[test]
    #[should_panic(expected = "got NaN")]
    fn nan_is_not_close() {
        assert_close(f64::NAN, 0.25, 0);
    }

    #[test]
    fn jaxpruner_is_one_step_ahead() {
        let table =
            [(0, 0.0713125), (5, 0.3285), (9, 0.4375), (10, 0.4544375), (15, 0.496), (19, 0.5), (20, 0.5)];
        for (step, want) in table {
            assert_close(jaxpruner_polynomial(step, 0.5, 0, 20), want, step);
        }
        assert_eq!(jaxpruner_polynomial(8, 0.5, 10, 20), 0.0);
    }

    #[test]
    fn drop_cosine_meets_the_table() {
        let table = [
            (0, 0.3, 300),
            (100, 0.299988, 299),
            (6250, 0.256066, 256),
            (12500, 0.15, 150),
            (18750, 0.043934, 43),
            (24900, 0.000012, 0),
            (25000, 0.0, 0),
        ];
        for (step, want, of_a_thousand) in table {
            let got = drop_cosine(0.3, 0.0, step, 0, 25000);
            assert_close(got, want, step);
            assert_eq!((1000.0 * got).trunc() as u64, of_a_thousand, "at {step}");
            assert_eq!(
                drop_cosine(0.3, 0.0, step + 700, 700, 25700),
                got,
                "only the distance from the begin counts"
            );
        }
    }

    #[test]
    fn the_other_drop_fractions() {
        assert_eq!([0, 99, 100, 101].map(|t| drop_constant(0.3, t, 100)), [0.3, 0.3, 0.0, 0.0]);
        // By hand: .3 * (1 - 25/100)^2 = .16875, .3 * (1 - 50/100)^2 = .075.
        for (step, want) in [(0, 0.3), (10, 0.3), (35, 0.16875), (60, 0.075), (110, 0.0), (500, 0.0)] {
            assert_close(drop_exponential(0.3, 0.0, 2.0, step, 10, 110), want, step);
        }
    }

    #[test]
    fn granet_rate_meets_the_table() {
        let table = [
            (0, 0.5),
            (1000, 0.499615),
            (14000, 0.428288),
            (28160, 0.2525),
            (42240, 0.077491),
            (56000, 0.005039),
            (56320, 0.005),
        ];
        for (step, want) in table {
            assert_close(drop_cosine(0.5, 0.005, step, 0, 56320), want, step);
        }
    }

    #[test]
    fn an_empty_span_is_over_at_once() {
        assert_eq!([4, 5, 6].map(|t| progress(t, 5, 5)), [0.0, 1.0, 1.0]);
        assert_eq!(drop_cosine(0.3, 0.0, 0, 0, 0), 0.0);
    }

    #[test]
    fn ends_are_met_exactly() {
        for (start, end) in [(0.1, 0.0), (0.3, 0.7), (0.5, 0.005)] {
            assert_eq!(cosine(start, end, 1.0), end);
            assert!((cosine(start, end, 0.0) - start).abs() <= f64::EPSILON);
            assert_eq!(polynomial(start, end, 3.0, 1.0), end);
        }
    }
}
