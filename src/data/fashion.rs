//! Fashion-MNIST: 28 x 28 pictures of clothes in 10 classes. Xiao, Rasul, Vollgraf 2017, arXiv 1708.07747.
//!
//! `fashion-mnist` is the whole of it, 60,000 + 10,000, from files on this machine. `fashion-mini` is the
//! first 300 + 50 of each class, embedded (`assets/make.py`): a score on it is not a score on the former.

use super::options::PICTURES;
use super::standard::{Part, Standard};
use super::statistics::Moments;
use super::{Entry, Source, folder, idx};
use crate::error::Result;

pub const FULL: Entry = Entry {
    name: "fashion-mnist",
    argument: "",
    about: "60,000 + 10,000 pictures of clothes, 28x28, 10 classes; package dataset-fashion-mnist or $COPPICE_DATA",
    keys: PICTURES,
    open: |_, _| FASHION.open(),
};

pub const MINI: Entry = Entry {
    name: "fashion-mini",
    argument: "",
    about: "3,000 + 500 of Fashion-MNIST, 28x28, 10 classes; embedded",
    keys: PICTURES,
    open: |_, _| mini(),
};

const FASHION: Standard = Standard {
    name: "fashion-mnist",
    package_folder: Some("/usr/share/datasets/fashion-mnist"),
    hint: "apt-get install dataset-fashion-mnist, or put the four files into a folder and set COPPICE_DATA to it",
    extents: [28, 28],
    classes: 10,
    mean: 0.2860,
    deviation: 0.3530,
    train: Part { samples: 60_000, first_labels: [9, 0, 0, 3, 0, 2, 7, 2, 5, 5] },
    test: Part { samples: 10_000, first_labels: [9, 2, 1, 1, 6, 1, 4, 6, 5, 7] },
};

/// Scaled as the full set is, so that a model sees the same pixels in both.
fn mini() -> Result<Source> {
    macro_rules! asset {
        ($part:literal, $rank:expr) => {
            idx::read(
                concat!("fashion-mini-", $part),
                &include_bytes!(concat!("../../assets/data/fashion-mini-", $part, ".idx.gz"))[..],
                $rank,
            )
        };
    }
    let train = (asset!("train-images", folder::IMAGES)?, asset!("train-labels", folder::LABELS)?);
    let test = (asset!("test-images", folder::IMAGES)?, asset!("test-labels", folder::LABELS)?);
    let (shape, train) = folder::pair(train.0, train.1, FASHION.classes)?;
    let (test_shape, test) = folder::pair(test.0, test.1, FASHION.classes)?;
    folder::same_shape(MINI.name, &shape, &test_shape)?;
    let (scale, shift) = Moments::one(FASHION.mean, FASHION.deviation).scale_and_shift(255.0);
    let origin = "embedded; the first 300 + 50 of each class of Fashion-MNIST (Zalando SE, MIT)".into();
    Ok(Source { scale, shift, origin, ..Source::new(MINI.name, shape, FASHION.classes, train, test) })
}

#[cfg(test)]
mod tests {
    use super::super::{Samples, open};
    use super::*;

    #[test]
    fn mini_is_balanced_and_scaled() {
        let set = open("fashion-mini", 0.0).unwrap();
        assert_eq!((set.shape.as_slice(), set.classes), (&[1, 28, 28][..], 10));
        for (split, each) in [(&set.train, 300), (&set.test, 50)] {
            let count = |class| split.labels.iter().filter(|&&label| label == class).count();
            assert_eq!((0..10).map(count).collect::<Vec<_>>(), [each; 10]);
        }
        // Mean and deviation are the full set's; a twentieth of it comes close.
        let Moments { mean, deviation } = Moments::of(&set.train.images, 784, 1);
        assert!((mean[0] / 255.0 - FASHION.mean).abs() <= 0.005, "{mean:?}");
        assert!((deviation[0] / 255.0 - FASHION.deviation).abs() <= 0.005, "{deviation:?}");
    }

    /// Where the package is installed: the mini set holds its samples, and its moments are the constants.
    #[test]
    fn full_set_agrees_with_the_mini_set_and_its_constants() {
        if !FASHION.package_folder.is_some_and(|folder| std::path::Path::new(folder).exists()) {
            return;
        }
        let (full, mini) = (FASHION.open().unwrap(), mini().unwrap());
        assert_eq!((full.train.len(), full.test.len()), (60_000, 10_000));
        let Moments { mean, deviation } = Moments::of(&full.train.images, 784, 1);
        assert!((mean[0] / 255.0 - FASHION.mean).abs() <= 1e-4, "{mean:?}");
        assert!((deviation[0] / 255.0 - FASHION.deviation).abs() <= 1e-4, "{deviation:?}");
        for (full, mini, each) in [(&full.train, &mini.train, 300), (&full.test, &mini.test, 50)] {
            let mut taken = [0; 10];
            let mut rows = vec![false; full.len()];
            for (row, &label) in full.labels.iter().enumerate() {
                let count = &mut taken[usize::from(label)];
                rows[row] = *count < each;
                *count += usize::from(rows[row]);
            }
            let chosen = full.filter(784, |row| rows[row]);
            assert!(matches!(chosen.images, Samples::Bytes(_)) && chosen == *mini);
        }
    }
}
