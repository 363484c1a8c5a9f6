//! How well a classifier knows what it knows: calibration error and the risk at every coverage.
//!
//! Guo et al., 2017, "On Calibration of Modern Neural Networks"; Geifman, Uziel & El-Yaniv, 2019, "Bias-Reduced
//! Uncertainty Estimation for Deep Neural Classifiers". Sums are f64, on the host, once an evaluation.

/// Bins of the calibration error: `(0, 0.1]` up to `(0.9, 1]`.
const BINS: usize = 10;

/// The answers whose confidence lies in one bin.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Bin {
    pub samples: usize,
    /// Their mean confidence, and the share of right ones among them; 0 without samples.
    pub confidence: f64,
    pub accuracy: f64,
}

/// Figures of a part of the data, all plain: papers print `ece` times 100, `aurc` and `e_aurc` times 1000.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Confidence {
    /// Expected calibration error: over ten bins of confidence, the distance between accuracy and mean confidence,
    /// weighted by the bins' shares of the samples. 0 to 1.
    pub ece: f64,
    /// Area under the risk-coverage curve: the share of wrong answers among the i most confident, mean over all i.
    /// 0 to 1.
    pub aurc: f64,
    /// What of `aurc` a better order of the same answers, all wrong ones last, would save.
    pub e_aurc: f64,
    /// From the lowest confidence to the highest: what a reliability diagram shows.
    pub bins: [Bin; BINS],
}

impl Confidence {
    /// From the verdict on each sample, in order: the probability of its answer, negative where that is wrong. Of
    /// equal confidences the sample with the lower number counts as the more confident.
    pub fn of(verdicts: &[f32]) -> Self {
        let n = verdicts.len().max(1) as f64;
        let mut order: Vec<(f32, bool)> = verdicts.iter().map(|v| (v.abs(), v.is_sign_positive())).collect();
        let ece = calibration(&order) / n;
        order.sort_by(|a, b| b.0.total_cmp(&a.0)); // stable
        let (mut wrong, mut area) = (0, 0.0);
        for (i, (_, right)) in order.iter().enumerate() {
            wrong += usize::from(!right);
            area += wrong as f64 / (i + 1) as f64;
        }
        let aurc = if verdicts.iter().any(|v| v.is_nan()) { f64::NAN } else { area / n };
        let best: f64 = (1..=wrong).map(|i| i as f64 / (order.len() - wrong + i) as f64).sum();
        Self { ece, aurc, e_aurc: aurc - best / n, bins: bins(&order) }
    }
}

/// The bin of a confidence: `None` of 0, which is in none, and of what is not a number.
fn bin_of(confidence: f64) -> Option<usize> {
    // Bins are open below: one edge up is the next bin's first value.
    let bin = (confidence * BINS as f64).ceil();
    (bin >= 1.0).then(|| (bin as usize).min(BINS) - 1)
}

fn bins(samples: &[(f32, bool)]) -> [Bin; BINS] {
    let mut all = [Bin::default(); BINS];
    for &(confidence, right) in samples {
        if let Some(bin) = bin_of(f64::from(confidence)) {
            all[bin].samples += 1;
            all[bin].confidence += f64::from(confidence);
            all[bin].accuracy += f64::from(u8::from(right));
        }
    }
    all.map(|Bin { samples, confidence, accuracy }| {
        let n = samples.max(1) as f64;
        Bin { samples, confidence: confidence / n, accuracy: accuracy / n }
    })
}

/// Over the bins, how far the number of right answers is from the sum of confidences. Not a number if one is not.
fn calibration(samples: &[(f32, bool)]) -> f64 {
    let mut gaps = [0.0; BINS];
    for &(confidence, right) in samples {
        let confidence = confidence as f64;
        if confidence.is_nan() {
            return f64::NAN;
        }
        if let Some(bin) = bin_of(confidence) {
            gaps[bin] += f64::from(u8::from(right)) - confidence;
        }
    }
    gaps.iter().map(|gap| gap.abs()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, want: f64, bound: f64) {
        assert!((got - want).abs() <= bound, "{got}, not {want}");
    }

    #[test]
    fn five_samples_by_hand() {
        // Samples 1 and 3 tie: the lower number goes first, here the wrong answer and then the right one.
        let found = Confidence::of(&[0.7, -0.4, 0.85, 0.4, -0.9]);
        close(found.aurc, 0.546667, 5e-7);
        close(found.e_aurc, 0.416667, 5e-7);
        let swapped = Confidence::of(&[0.7, 0.4, 0.85, -0.4, -0.9]);
        close(swapped.aurc, 0.496667, 5e-7);
        close(swapped.e_aurc, 0.366667, 5e-7);
        // 0.4 and 0.7 lie on edges and are not exact, but no other sample is in either bin beside them.
        close(found.ece, 0.25, 1e-7);
    }

    #[test]
    fn edges_belong_to_the_bin_below() {
        // 0.5 is exact: with (0.4, 0.5] it would cancel against 0.45, with (0.5, 0.6] against 0.55.
        close(Confidence::of(&[0.5, -0.45]).ece, (0.5f64 - 0.45).abs() / 2.0, 1e-7);
        close(Confidence::of(&[0.5, -0.55]).ece, (0.5 + 0.55) / 2.0, 1e-7);
        close(Confidence::of(&[1.0, 0.0]).ece, 0.0, 0.0);
    }

    #[test]
    fn bins_hold_every_answer_once() {
        let bins = Confidence::of(&[0.75, -0.75, 0.78125, 1.0, 0.0, -0.5]).bins;
        assert_eq!(bins.iter().map(|bin| bin.samples).collect::<Vec<_>>(), [0, 0, 0, 0, 1, 0, 0, 3, 0, 1]);
        close(bins[7].confidence, (0.75 + 0.75 + 0.78125) / 3.0, 1e-12);
        close(bins[7].accuracy, 2.0 / 3.0, 1e-12);
        close(bins[4].accuracy, 0.0, 0.0);
    }

    #[test]
    fn extremes() {
        for right in [&[0.9f32; 4][..], &[1.0], &[]] {
            assert_eq!((Confidence::of(right).aurc, Confidence::of(right).e_aurc), (0.0, 0.0));
        }
        let wrong = Confidence::of(&[-0.75; 3]);
        assert_eq!((wrong.ece, wrong.aurc, wrong.e_aurc), (0.75, 1.0, 0.0));
        let undefined = Confidence::of(&[0.5, f32::NAN]);
        assert!(undefined.ece.is_nan() && undefined.aurc.is_nan() && undefined.e_aurc.is_nan());
    }
}
