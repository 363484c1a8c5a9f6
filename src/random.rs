//! Random numbers as a function of where they are used: Philox4x32-10.
//!
//! A number depends on (seed, stream, step, tensor, element) and on nothing else: not on the order of
//! execution, not on what was drawn before. So a resumed run has no generator to restore, and a kernel
//! draws the same words as the host (`shaders/common/philox.wgsl` is this generator in WGSL).
//! Salmon, Moraes, Dror, Shaw, *Parallel random numbers: as easy as 1, 2, 3*, SC 2011.

/// What a number is for. Each purpose has its own stream, so that a use that is added later cannot
/// disturb the ones before it. The values are part of every result: add to them, never change them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Stream {
    /// Weights before the first step.
    Init = 1,
    /// The order of samples within an epoch.
    Shuffle = 2,
    /// Which samples are held out.
    Split = 3,
    /// Which pruned weights grow back.
    Growth = 4,
    /// Which weights an initial or a random mask keeps.
    Mask = 5,
    /// Which activations dropout drops.
    Dropout = 6,
    /// How samples are varied while training.
    Augment = 7,
    /// Synthetic data.
    Synthetic = 8,
    /// What newly grown weights start with.
    Grown = 9,
    /// Where the windows of a text begin.
    Window = 10,
    /// Which token is written next.
    Written = 11,
    /// How samples are mixed with each other.
    Mixup = 12,
    /// Which subnets a step trains.
    Subnet = 20,
    /// Which subnets a search looks at.
    Search = 21,
    /// Inputs of unit tests and of measurements.
    Test = 255,
}

/// Ten rounds of Philox over four 32-bit words, as published.
pub fn philox4x32_10(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut a, mut b, mut c, mut d] = counter;
    let [mut key_0, mut key_1] = key;
    for _ in 0..10 {
        let (low_a, high_a) = multiply(0xD251_1F53, a);
        let (low_c, high_c) = multiply(0xCD9E_8D57, c);
        (a, b, c, d) = (high_c ^ b ^ key_0, low_c, high_a ^ d ^ key_1, low_a);
        key_0 = key_0.wrapping_add(0x9E37_79B9); // the golden ratio
        key_1 = key_1.wrapping_add(0xBB67_AE85); // sqrt(3) - 1
    }
    [a, b, c, d]
}

/// Four words: the elements `4 * block .. 4 * block + 4` of a tensor.
/// The key is the seed, low half first; the counter is (block, tensor, step, stream).
pub fn words(seed: u64, stream: Stream, step: u32, tensor: u32, block: u32) -> [u32; 4] {
    philox4x32_10([block, tensor, step, stream as u32], [seed as u32, (seed >> 32) as u32])
}

/// The word of one element: word `element % 4` of block `element / 4`.
pub fn word(seed: u64, stream: Stream, step: u32, tensor: u32, element: u32) -> u32 {
    words(seed, stream, step, tensor, element / 4)[element as usize % 4]
}

/// The top 24 bits as a number in [0, 1). Every value is exact in f32, on the host and on a device.
pub fn unit(word: u32) -> f32 {
    (word >> 8) as f32 / (1 << 24) as f32
}

/// Uniform in [0, 1).
pub fn uniform(seed: u64, stream: Stream, step: u32, tensor: u32, element: u32) -> f32 {
    unit(word(seed, stream, step, tensor, element))
}

/// Normal with mean 0 and variance 1, by Box and Muller (1958) in f64, rounded once to f32.
///
/// The words of a block make two pairs; with `u = (first + 1) / 2^32` in (0, 1] and `v = second / 2^32`
/// the even element of a pair is `sqrt(-2 ln u) cos(2 pi v)`, the odd one has the sine. The largest
/// magnitude is `sqrt(64 ln 2)`, about 6.66. Host only: `ln` and `cos` differ between devices.
pub fn normal(seed: u64, stream: Stream, step: u32, tensor: u32, element: u32) -> f32 {
    let block = words(seed, stream, step, tensor, element / 4);
    let pair = element as usize % 4 / 2 * 2;
    let range = (1u64 << 32) as f64;
    let u = (f64::from(block[pair]) + 1.0) / range;
    let angle = std::f64::consts::TAU * f64::from(block[pair + 1]) / range;
    let radius = (-2.0 * u.ln()).sqrt();
    (radius * if element.is_multiple_of(2) { angle.cos() } else { angle.sin() }) as f32
}

/// A random order of `0..n`, each as likely as any other: the shuffle of Fisher and Yates
/// (Knuth, *The Art of Computer Programming* 2, algorithm P).
///
/// Swap number `i` draws 64 bits, the words `2 i` and `2 i + 1` (low half first) of tensor 0, and maps
/// them to `0..=i` by the high half of the product with `i + 1` (Lemire 2019). Nothing is rejected, so
/// that a draw never depends on another one; a place is then off its probability by a share below
/// `n / 2^64`, that is 2^-32 at most, which no run is long enough to notice.
pub fn permutation(seed: u64, stream: Stream, step: u32, n: u32) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n).collect();
    for i in (1..n).rev() {
        let block = words(seed, stream, step, 0, i / 2);
        let pair = i as usize % 2 * 2;
        let bits = u64::from(block[pair]) | u64::from(block[pair + 1]) << 32;
        let j = (u128::from(bits) * (u128::from(i) + 1)) >> 64;
        order.swap(i as usize, j as usize);
    }
    order
}

/// The low and the high half of a product.
fn multiply(a: u32, b: u32) -> (u32, u32) {
    let product = u64::from(a) * u64::from(b);
    (product as u32, (product >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Random123, `tests/kat_vectors`, the lines `philox4x32 10`.
    #[test]
    fn the_published_vectors_hold() {
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        let cases = [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (pi, [0xa409_3822, 0x299f_31d0], [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]),
        ];
        for (counter, key, want) in cases {
            assert_eq!(philox4x32_10(counter, key), want, "counter {counter:x?}, key {key:x?}");
        }
    }

    #[test]
    fn seed_and_place_reach_the_published_key_and_counter() {
        assert_eq!(words(1 << 32 | 2, Stream::Growth, 3, 5, 7), philox4x32_10([7, 5, 3, 4], [2, 1]));
        assert_eq!(word(9, Stream::Test, 0, 0, 6), words(9, Stream::Test, 0, 0, 1)[2]);
    }

    #[test]
    fn unit_covers_zero_and_stays_below_one() {
        assert_eq!(unit(0), 0.0);
        assert_eq!(unit(255), 0.0);
        assert_eq!(unit(256), 2f32.powi(-24));
        assert_eq!(unit(u32::MAX), 1.0 - 2f32.powi(-24));
    }

    /// Bounds are five standard errors of each moment at 40,000 draws.
    #[test]
    fn moments_are_those_of_the_distribution() {
        let n = 40_000u32;
        let moment = |draw: fn(u64, Stream, u32, u32, u32) -> f32, power| {
            (0..n).map(|i| f64::from(draw(1, Stream::Test, 0, 0, i)).powi(power)).sum::<f64>() / f64::from(n)
        };
        let checks = [
            ("uniform mean", moment(uniform, 1), 0.5, 1.0 / 12.0),
            ("uniform square", moment(uniform, 2), 1.0 / 3.0, 1.0 / 5.0 - 1.0 / 9.0),
            ("normal mean", moment(normal, 1), 0.0, 1.0),
            ("normal square", moment(normal, 2), 1.0, 2.0),
            ("normal cube", moment(normal, 3), 0.0, 15.0),
            ("normal fourth", moment(normal, 4), 3.0, 96.0),
        ];
        for (name, got, want, variance) in checks {
            let bound = 5.0 * f64::sqrt(variance / f64::from(n));
            assert!((got - want).abs() <= bound, "{name}: {got}, want {want} within {bound}");
        }
    }

    /// A draw and its neighbour (the two halves of a Box-Muller pair among them) do not correlate.
    #[test]
    fn neighbours_do_not_correlate() {
        let n = 40_000u32;
        let at = |i| f64::from(normal(2, Stream::Test, 0, 0, i));
        let mean = (0..n).map(|i| at(i) * at(i + 1)).sum::<f64>() / f64::from(n);
        assert!(mean.abs() <= 5.0 / f64::from(n).sqrt(), "correlation {mean}");
    }

    /// The wanted values come from a Philox and a Box-Muller written in Python.
    #[test]
    fn normal_agrees_with_another_implementation() {
        let want =
            [-1.520_052, -0.130_474_16, -1.918_412, 0.313_037_48, 0.618_571_6, 0.891_261_3, 2.000_780_3];
        for (i, want) in want.into_iter().enumerate() {
            let got = normal(3, Stream::Init, 2, 1, i as u32);
            assert!((got - want).abs() <= 1e-6, "element {i}: {got}, want {want}");
        }
        assert!((0..100_000).all(|i| normal(4, Stream::Init, 0, 0, i).abs() < 6.67));
    }

    /// Each of the 24 orders of four, over 24,000 seeds: chi-square with 23 degrees of freedom exceeds
    /// 58.6 once in 16,000 times for a fair shuffle; the naive one (swap with any place) gives thousands.
    #[test]
    fn every_order_is_as_likely() {
        let mut counts = std::collections::BTreeMap::new();
        for seed in 0..24_000 {
            *counts.entry(permutation(seed, Stream::Test, 0, 4)).or_insert(0u32) += 1;
        }
        assert_eq!(counts.len(), 24);
        let chi_square: f64 = counts.values().map(|&c| (f64::from(c) - 1000.0).powi(2) / 1000.0).sum();
        assert!(chi_square <= 58.6, "chi-square {chi_square}");
    }

    /// The wanted order comes from the same rule written in Python.
    #[test]
    fn permutation_agrees_with_another_implementation() {
        assert_eq!(permutation(7, Stream::Shuffle, 3, 8), [1, 5, 6, 4, 3, 2, 0, 7]);
    }

    #[test]
    fn streams_steps_tensors_and_seeds_differ() {
        let base = words(1, Stream::Init, 0, 0, 0);
        assert_ne!(base, words(2, Stream::Init, 0, 0, 0));
        assert_ne!(base, words(1 << 32 | 1, Stream::Init, 0, 0, 0));
        assert_ne!(base, words(1, Stream::Shuffle, 0, 0, 0));
        assert_ne!(base, words(1, Stream::Init, 1, 0, 0));
        assert_ne!(base, words(1, Stream::Init, 0, 1, 0));
        assert_ne!(base, words(1, Stream::Init, 0, 0, 1));
    }

    proptest! {
        #[test]
        fn a_permutation_holds_each_number_once(seed: u64, step: u32, n in 0u32..600) {
            let order = permutation(seed, Stream::Shuffle, step, n);
            prop_assert_eq!(&order, &permutation(seed, Stream::Shuffle, step, n));
            let mut sorted = order;
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..n).collect::<Vec<_>>());
        }
    }
}
