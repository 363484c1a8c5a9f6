//! A test part for sets that come without one: a share of each class, a function of the set alone.

use super::{SPLIT_SEED, Split};
use crate::error::{Error, Result};
use crate::random::{Stream, permutation};

/// Which samples are for testing. Of a class of `n` samples, in the order in which they stand, `share * n` are drawn,
/// rounded half away from zero, at least 1 and at most `n - 1`; of a class of one, none. The draw is that of
/// [`SPLIT_SEED`], with the number of the class; a class that gains samples changes no other.
///
/// # Errors
/// `Kind::Data` where no class has two samples.
pub fn test_rows(name: &str, labels: &[u8], share: f64) -> Result<Vec<bool>> {
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); 256];
    labels.iter().enumerate().for_each(|(row, &label)| rows[usize::from(label)].push(row));
    let mut is_test = vec![false; labels.len()];
    for (class, rows) in rows.iter().enumerate().filter(|(_, rows)| rows.len() > 1) {
        let held = ((share * rows.len() as f64).round() as usize).clamp(1, rows.len() - 1);
        // Step 0 of this stream is what is held out for validation.
        let order = permutation(SPLIT_SEED, Stream::Split, 1 + class as u32, rows.len() as u32);
        order[..held].iter().for_each(|&place| is_test[rows[place as usize]] = true);
    }
    if !is_test.contains(&true) {
        return Err(Error::data(format!("{name} has nothing to test on"))
            .at("no class has two samples, of which one could be held out"));
    }
    Ok(is_test)
}

/// Cuts a set in two: training and test part.
pub fn cut(name: &str, all: &Split, share: f64) -> Result<(Split, Split)> {
    let is_test = test_rows(name, &all.labels, share)?;
    let features = all.images.len() / all.len();
    Ok((all.filter(features, |row| !is_test[row]), all.filter(features, |row| is_test[row])))
}

/// For the origin of a set, for people.
pub fn in_words(share: f64) -> String {
    format!("{} % of each class held out for testing", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_gives_its_share_and_never_all() {
        let labels = [[0; 10].to_vec(), vec![1, 1], vec![2], [3; 5].to_vec()].concat();
        let rows = test_rows("s", &labels, 0.2).unwrap();
        let held = |class: u8| labels.iter().zip(&rows).filter(|(l, held)| **l == class && **held).count();
        assert_eq!([held(0), held(1), held(2), held(3)], [2, 1, 0, 1]);
        assert_eq!(rows, test_rows("s", &labels, 0.2).unwrap());
        let most = test_rows("s", &labels, 0.99).unwrap();
        assert_eq!(most.iter().filter(|held| **held).count(), 9 + 1 + 4);
        assert!(test_rows("s", &[0, 1, 2], 0.5).unwrap_err().to_string().contains("nothing to test on"));
    }

    /// What is held out is part of every result on such a set: this test must not change.
    #[test]
    fn what_is_held_out_never_changes_and_classes_are_apart() {
        let held = |labels: &[u8]| -> Vec<usize> {
            let rows = test_rows("s", labels, 0.3).unwrap();
            (0..rows.len()).filter(|&row| rows[row]).collect()
        };
        let first = held(&[0; 10]);
        assert_eq!(held(&[[0; 10].to_vec(), [1; 4].to_vec()].concat())[..3], first);
        assert_eq!(first, WANT);
    }

    const WANT: [usize; 3] = [4, 7, 8];
}
