//! Mean and deviation, by channel: what takes stored values to mean 0 and variance 1.

use super::{Samples, Source};
use crate::error::{Error, Result};

/// Of the values of each channel, or of all values where there is one.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    pub mean: Vec<f64>,
    pub deviation: Vec<f64>,
}

impl Moments {
    pub fn one(mean: f64, deviation: f64) -> Self {
        Self { mean: vec![mean], deviation: vec![deviation] }
    }

    /// Of samples of `features` values, of which each of `channels` holds equally many in a row. Of the whole training part:
    /// before any of it is held out, so that the share held out does not change what a pixel means.
    pub fn of(samples: &Samples, features: usize, channels: usize) -> Self {
        let plane = features / channels;
        let count = (samples.len() / channels) as f64;
        let sums = |term: &dyn Fn(usize, f64) -> f64| -> Vec<f64> {
            let mut sums = vec![0.0; channels];
            for begin in (0..samples.len()).step_by(plane) {
                let channel = begin / plane % channels;
                sums[channel] = (begin..begin + plane)
                    .fold(sums[channel], |sum, i| sum + term(channel, f64::from(samples.get(i))));
            }
            sums.into_iter().map(|sum| sum / count).collect()
        };
        let mean = sums(&|_, value| value);
        let variance = sums(&|channel, value| (value - mean[channel]).powi(2));
        Self { deviation: variance.into_iter().map(f64::sqrt).collect(), mean }
    }

    /// Scale and shift that take `value / range` to `(value / range - mean) / deviation`.
    pub fn scale_and_shift(&self, range: f64) -> (Vec<f32>, Vec<f32>) {
        let scale = self.deviation.iter().map(|deviation| (1.0 / (range * deviation)) as f32).collect();
        let both = self.mean.iter().zip(&self.deviation);
        (scale, both.map(|(mean, deviation)| (-mean / deviation) as f32).collect())
    }

    /// `mean 0.5, deviation 0.2`; of several channels the numbers in a row.
    pub fn in_words(&self) -> String {
        let list = |all: &[f64]| {
            let words = all.iter().take(4).map(|x| format!("{x:.3}")).collect::<Vec<_>>().join(" ");
            if all.len() > 4 { format!("{words} ..") } else { words }
        };
        format!("mean {}, deviation {}", list(&self.mean), list(&self.deviation))
    }
}

/// Scales a source by the moments of its training part, each of `channels` by its own. A channel whose values are all equal
/// becomes 0, with a warning.
///
/// # Errors
/// `Kind::Data` where all values are equal.
pub fn measure(source: &mut Source, channels: usize) -> Result<()> {
    // What does not fit together is refused where all sets are checked.
    let features: usize = source.shape.iter().product();
    let values = source.train.images.len();
    if features == 0 || values == 0 || !values.is_multiple_of(features) {
        return Ok(());
    }
    let mut moments = Moments::of(&source.train.images, features, channels);
    let equal: Vec<usize> = (0..channels).filter(|&channel| moments.deviation[channel] == 0.0).collect();
    if equal.len() == channels {
        let mean = moments.mean[0];
        return Err(Error::data(format!("all samples of {} are equal", source.name))
            .at(format!("expected values that differ, found {mean} throughout the training part")));
    }
    if !equal.is_empty() {
        let names: Vec<String> = equal.iter().map(usize::to_string).collect();
        source.warnings.push(
            Error::data(format!("{} of {channels} channels hold one value alone", equal.len()))
                .at(format!("channels, from 0: {}; a model sees 0 there", super::classes::named(&names)))
                .hint("leave them out, if nothing is wrong with them"),
        );
        equal.iter().for_each(|&channel| moments.deviation[channel] = 1.0);
    }
    (source.scale, source.shift) = moments.scale_and_shift(1.0);
    source.origin = format!("{} ({} of the training part)", source.origin, moments.in_words());
    Ok(())
}

/// Scales a source by given moments: of bytes over 255, or of floats as they are stored.
///
/// # Errors
/// `Kind::Usage` where there are as many as neither one nor the channels.
pub fn give(source: &mut Source, moments: &Moments) -> Result<()> {
    let (given, channels) = (moments.mean.len(), source.shape.first().copied().unwrap_or(1));
    if ![1, channels].contains(&given) {
        let expected =
            if channels == 1 { "1".to_string() } else { format!("1 or {channels}, one a channel") };
        return Err(Error::usage(format!("{given} means and deviations do not fit {}", source.name))
            .at(format!("expected: {expected}; a sample is {:?}", source.shape)));
    }
    let range = if matches!(source.train.images, Samples::Bytes(_)) { 255.0 } else { 1.0 };
    (source.scale, source.shift) = moments.scale_and_shift(range);
    source.origin = format!("{} ({}, as given)", source.origin, moments.in_words());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Dataset, Split};
    use super::*;

    /// Two samples of two channels of two values.
    fn source(values: [u8; 8]) -> Source {
        let split = || Split::bytes(values.to_vec(), vec![0, 1]);
        Source { origin: "here".into(), ..Source::new("s", vec![2, 1, 2], 2, split(), split()) }
    }

    #[test]
    fn each_channel_gets_mean_0_and_variance_1() {
        let mut source = source([0, 4, 100, 150, 4, 8, 200, 150]);
        measure(&mut source, 2).unwrap();
        let set = Dataset::from_arrays(source, 0.0).unwrap();
        let root = 2f32.sqrt();
        let want = [-root, 0.0, 0.0, root, -root, root, 0.0, 0.0];
        let got = set.columns(&set.train, &[0, 1]);
        assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() <= 1e-6), "{got:?}");
        assert!(set.origin.contains("mean 4.000 150.000, deviation 2.828 35.355"), "{}", set.origin);
    }

    #[test]
    fn a_channel_of_equal_values_is_told_and_all_of_them_refused() {
        let mut one = source([0, 4, 7, 7, 4, 8, 7, 7]);
        measure(&mut one, 2).unwrap();
        assert!(
            one.warnings[0]
                .to_string()
                .starts_with("1 of 2 channels hold one value alone\n  channels, from 0: 1")
        );
        assert_eq!(7.0 * one.scale[1] + one.shift[1], 0.0);
        let error = measure(&mut source([7; 8]), 2).unwrap_err().to_string();
        assert!(error.contains("all samples of s are equal"), "{error}");
    }

    #[test]
    fn given_moments_are_of_bytes_over_255() {
        let mut source = source([0, 255, 7, 7, 4, 8, 7, 7]);
        give(&mut source, &Moments { mean: vec![0.5, 0.25], deviation: vec![0.25, 0.5] }).unwrap();
        assert_eq!(255.0 * source.scale[0] + source.shift[0], 2.0);
        assert_eq!(255.0 * source.scale[1] + source.shift[1], 1.5);
        give(&mut source, &Moments::one(0.0, 1.0)).unwrap();
        assert_eq!((source.scale.len(), source.shift[0]), (1, 0.0));
        let three = Moments { mean: vec![0.0; 3], deviation: vec![1.0; 3] };
        let error = give(&mut source, &three).unwrap_err().to_string();
        assert!(error.contains("expected: 1 or 2, one a channel; a sample is [2, 1, 2]"), "{error}");
    }
}
