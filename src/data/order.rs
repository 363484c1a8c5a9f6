//! The order in which an epoch visits its samples.

use crate::random::{Stream, permutation};

/// A permutation of `0..n`, a function of (seed, epoch) alone: nothing is to be restored on resume.
/// `n` is the size of a training part, which [`super::Dataset::from_arrays`] keeps below 2^32.
///
/// # Panics
/// If `n` does not fit 32 bits.
pub fn order(seed: u64, epoch: u32, n: usize) -> Vec<u32> {
    let n = u32::try_from(n).expect("a data set counts its samples in 32 bits");
    permutation(seed, Stream::Shuffle, epoch, n)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn epochs_and_seeds_differ() {
        assert_ne!(order(1, 0, 257), order(1, 1, 257));
        assert_ne!(order(1, 0, 257), order(2, 0, 257));
        assert_ne!(order(1, 0, 257), (0..257).collect::<Vec<u32>>());
        assert_eq!(order(1, 0, 1), [0]);
        assert!(order(1, 0, 0).is_empty());
    }

    proptest! {
        #[test]
        fn every_epoch_is_a_permutation_and_repeats(seed: u64, epoch: u32, n in 0usize..600) {
            let got = order(seed, epoch, n);
            prop_assert_eq!(&got, &order(seed, epoch, n));
            let mut sorted = got;
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..n as u32).collect::<Vec<_>>());
        }
    }
}
