//! How many inputs each output keeps at the start, where that is drawn, too.
//!
//! Numbers of connections in the brain are about log-normal: few neurons have most of them (Buzsaki & Mizuseki, 2014, "The
//! log-dynamic brain"). Output `r` of a weight gets a share `exp(sigma z_r)`, z standard normal, of all kept weights: at least
//! one, at most all of its inputs, and the sum exact. Which inputs those are is drawn uniformly.

use crate::error::{Error, Result};
use crate::ops::packed::{Form, Pattern};
use crate::random::{self, Stream};

/// Where random numbers come from: a function of these and of their index.
#[derive(Clone, Copy)]
pub(super) struct Seed {
    pub seed: u64,
    /// The number of the parameter.
    pub tensor: u32,
}

/// Numbers of inputs are drawn apart from which ones.
const COUNTS: u32 = 1;

/// A pattern of `keep` weights of a matrix (rows, inner).
///
/// # Errors
/// `Kind::Usage` where there is less than one input for each output.
pub(super) fn log_normal(
    seed: Seed,
    (rows, inner): (usize, usize),
    keep: usize,
    sigma: f64,
) -> Result<Pattern> {
    if keep < rows {
        return Err(Error::usage(format!("{keep} weights are less than one for each of {rows} outputs"))
            .hint("a lower sparsity.target, a [[sparsity.rule]] for this layer, or sparsity.fan_in = \"random\""));
    }
    let normal = |row: usize| random::normal(seed.seed, Stream::Mask, COUNTS, seed.tensor, row as u32);
    let shares: Vec<f64> = (0..rows).map(|row| (sigma * f64::from(normal(row))).exp()).collect();
    let mut indices = Vec::with_capacity(keep);
    for (row, count) in spread(&shares, inner, keep).into_iter().enumerate() {
        let first = row * inner;
        let score = |&i: &u32| random::word(seed.seed, Stream::Mask, 0, seed.tensor, i);
        let mut all: Vec<u32> = (first as u32..(first + inner) as u32).collect();
        all.sort_by_cached_key(|i| (std::cmp::Reverse(score(i)), *i));
        all.truncate(count);
        all.sort_unstable();
        indices.extend(all);
    }
    Ok(Pattern::from_indices(Form::Free, rows, inner, &indices))
}

/// Whole numbers from 1 to `most` in proportion to `shares`, which add up to `total`: by largest remainders, ties to the
/// lower row.
fn spread(shares: &[f64], most: usize, total: usize) -> Vec<usize> {
    // Rows beyond a bound are set to it, and the others share what is left, until none is beyond.
    let mut fixed: Vec<Option<usize>> = vec![None; shares.len()];
    let wanted = loop {
        let free = || (0..shares.len()).filter(|&row| fixed[row].is_none());
        let left = total - fixed.iter().flatten().sum::<usize>();
        let sum: f64 = free().map(|row| shares[row]).sum();
        let wanted: Vec<f64> = shares.iter().map(|share| share / sum * left as f64).collect();
        // What those beyond one bound have too much the others have too little: only the larger excess is settled.
        let over: f64 = free().map(|row| (wanted[row] - most as f64).max(0.0)).sum();
        let under: f64 = free().map(|row| (1.0 - wanted[row]).max(0.0)).sum();
        let (bound, beyond): (usize, Vec<usize>) = match over >= under {
            true => (most, free().filter(|&row| wanted[row] > most as f64).collect()),
            false => (1, free().filter(|&row| wanted[row] < 1.0).collect()),
        };
        if beyond.is_empty() {
            break wanted;
        }
        beyond.into_iter().for_each(|row| fixed[row] = Some(bound));
    };
    let mut counts: Vec<usize> = wanted
        .iter()
        .zip(&fixed)
        .map(|(wanted, fixed)| fixed.unwrap_or((*wanted as usize).clamp(1, most)))
        .collect();
    let mut order: Vec<usize> = (0..counts.len()).filter(|&row| fixed[row].is_none()).collect();
    order.sort_by(|&a, &b| (wanted[b].fract()).total_cmp(&wanted[a].fract()));
    let rest: Vec<usize> = (0..counts.len()).filter(|&row| fixed[row].is_some()).collect();
    let mut left = total.saturating_sub(counts.iter().sum());
    while left > 0 {
        let before = left;
        for &row in order.iter().chain(&rest) {
            if left > 0 && counts[row] < most {
                counts[row] += 1;
                left -= 1;
            }
        }
        assert!(left < before, "no more are asked for than there are");
    }
    counts
}

/// Of a mask of (rows, inner), how many inputs each row keeps.
pub(super) fn counts(mask: &[u32], (rows, inner): (usize, usize)) -> Vec<usize> {
    let is_kept = |&i: &usize| mask[i / 32] >> (i % 32) & 1 == 1;
    (0..rows).map(|row| (row * inner..(row + 1) * inner).filter(is_kept).count()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_add_up_within_their_bounds(
            rows in 1usize..70,
            inner in 1usize..70,
            part in 0.0..=1.0f64,
            sigma in 0.0..6.0f64,
            seed: u64,
        ) {
            let keep = rows + ((rows * inner - rows) as f64 * part) as usize;
            let pattern = log_normal(Seed { seed, tensor: 3 }, (rows, inner), keep, sigma).unwrap();
            let counts = counts(&pattern.mask(), (rows, inner));
            prop_assert_eq!(counts.iter().sum::<usize>(), keep);
            prop_assert!(counts.iter().all(|count| (1..=inner).contains(count)));
        }
    }

    #[test]
    fn counts_are_log_normal_and_alike_without_a_sigma() {
        let (rows, inner, keep) = (4000, 5000, 400_000);
        let counted = |sigma: f64| {
            let shares: Vec<f64> = (0..rows)
                .map(|row| (sigma * f64::from(random::normal(1, Stream::Mask, COUNTS, 2, row as u32))).exp())
                .collect();
            spread(&shares, inner, keep)
        };
        assert!(counted(0.0).iter().all(|count| *count == 100));
        let logs: Vec<f64> = counted(0.5).iter().map(|count| (*count as f64).ln()).collect();
        let mean = logs.iter().sum::<f64>() / rows as f64;
        let deviation = (logs.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / rows as f64).sqrt();
        // The mean of exp(sigma z) is exp(sigma^2 / 2); deviations of both figures are below 0.01.
        assert!(
            (mean - (100f64.ln() - 0.125)).abs() < 0.04 && (deviation - 0.5).abs() < 0.03,
            "{mean}, {deviation}"
        );
    }

    #[test]
    fn which_inputs_is_uniform_and_a_function_of_the_seed() {
        let of = |seed, tensor| log_normal(Seed { seed, tensor }, (2000, 10), 6000, 1.0).unwrap().mask();
        let mask = of(1, 0);
        assert!(mask == of(1, 0) && mask != of(2, 0) && mask != of(1, 1));
        let column = |at: usize| {
            (0..2000).map(|row| row * 10 + at).filter(|i| mask[i / 32] >> (i % 32) & 1 == 1).count()
        };
        // 600 each; deviations are below 21.
        assert!((0..10).all(|at| column(at).abs_diff(600) < 110));
    }

    #[test]
    fn too_few_for_all_outputs_are_refused() {
        let error = log_normal(Seed { seed: 1, tensor: 0 }, (10, 5), 9, 1.0).unwrap_err();
        assert!(error.to_string().contains("9 weights are less than one for each of 10 outputs"), "{error}");
    }
}
