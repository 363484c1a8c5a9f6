//! 1,797 handwritten digits of 8 x 8 pixels with values 0 to 16, embedded.
//! UCI, *Optical Recognition of Handwritten Digits* (Alpaydin, Kaynak 1998), its test part, as scikit-learn
//! has it (`assets/README.md`).

use super::statistics::Moments;
use super::{Entry, Source, Split, folder, idx};
use crate::error::Result;

pub const ENTRY: Entry = Entry {
    name: "digits",
    argument: "",
    about: "1,437 + 360 handwritten digits, 8x8, 10 classes; embedded",
    keys: &["size"],
    open: |_, _| open(),
};

const CLASSES: usize = 10;
/// The largest value of a pixel.
const RANGE: f64 = 16.0;
/// Mean and standard deviation of `pixel / 16` over the 1,437 training samples.
const MEAN: f64 = 0.305754;
const DEVIATION: f64 = 0.376217;
/// One sample of this many is for testing.
const TEST_EVERY: usize = 5;

fn open() -> Result<Source> {
    let images = include_bytes!("../../assets/data/digits-images.idx.gz");
    let labels = include_bytes!("../../assets/data/digits-labels.idx.gz");
    let images = idx::read("digits-images", &images[..], folder::IMAGES)?;
    let labels = idx::read("digits-labels", &labels[..], folder::LABELS)?;
    let (shape, all) = folder::pair(images, labels, CLASSES)?;
    let (train, test) = cut(&all, shape.iter().product());
    let (scale, shift) = Moments::one(MEAN, DEVIATION).scale_and_shift(RANGE);
    let origin =
        "embedded; UCI Optical Recognition of Handwritten Digits (CC BY 4.0), by way of scikit-learn".into();
    Ok(Source { scale, shift, origin, ..Source::new(ENTRY.name, shape, CLASSES, train, test) })
}

/// The source has no test part of its own. The rule: sort by class, equal classes in the order of the file;
/// numbers 0, 5, 10 and so on of that order are for testing, 360 in all, 35 to 37 of each class.
/// (Every fifth of the file itself would not do: it often counts from 0 to 9.)
fn cut(all: &Split, features: usize) -> (Split, Split) {
    let mut by_class: Vec<usize> = (0..all.len()).collect();
    by_class.sort_by_key(|&row| all.labels[row]); // a stable sort
    let mut is_test = vec![false; all.len()];
    by_class.iter().step_by(TEST_EVERY).for_each(|&row| is_test[row] = true);
    (all.filter(features, |row| !is_test[row]), all.filter(features, |row| is_test[row]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_their_sizes_and_every_class() {
        let set = open().unwrap();
        assert_eq!((set.train.len(), set.test.len()), (1_437, 360));
        assert_eq!(set.shape, [1, 8, 8]);
        for class in 0..10 {
            let share = |split: &Split| split.labels.iter().filter(|&&label| label == class).count();
            assert!((35..=37).contains(&share(&set.test)), "class {class}: {}", share(&set.test));
            assert!((139..=147).contains(&share(&set.train)), "class {class}: {}", share(&set.train));
        }
    }

    #[test]
    fn constants_are_the_moments_of_the_training_part() {
        let Moments { mean, deviation } = Moments::of(&open().unwrap().train.images, 64, 1);
        assert!((mean[0] / RANGE - MEAN).abs() <= 1e-6, "{mean:?}");
        assert!((deviation[0] / RANGE - DEVIATION).abs() <= 1e-6, "{deviation:?}");
    }

    /// The first row of the source: a zero, `0,0,5,13,9,1,0,0`; it is the first of its class, so for testing.
    #[test]
    fn the_first_sample_is_the_first_of_the_source() {
        let set = open().unwrap();
        assert_eq!(set.test.labels[0], 0);
        let row: Vec<f32> = (0..8).map(|i| set.test.images.get(i)).collect();
        assert_eq!(row, [0.0, 0.0, 5.0, 13.0, 9.0, 1.0, 0.0, 0.0]);
    }
}
