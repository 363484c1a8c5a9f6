//! Which classes have samples: labels that were read wrongly show there.

use super::{Dataset, Source};
use crate::error::{Error, Result};

/// So many are named, and the rest counted.
const NAMED: usize = 8;
/// A label that so few samples have, far above all others, is none of theirs.
const FEW: f64 = 0.01;

/// Samples of each class in the training part, what is held out of it included.
fn counts(set: &Dataset) -> Vec<usize> {
    let mut counts = vec![0; set.classes];
    set.train.labels.iter().chain(&set.validation.labels).for_each(|&label| counts[usize::from(label)] += 1);
    counts
}

/// Refuses training samples that are all of one class: whatever a network says is right then.
pub fn check(source: &Source) -> Result<()> {
    let labels = &source.train.labels;
    match labels.first() {
        Some(only) if labels.iter().all(|label| label == only) => {
            Err(Error::data(format!("all training samples of {} have the label {only}", source.name))
                .at("one class alone: every network is right about all of it")
                .hint("labels of at least two classes, counted from 0"))
        }
        _ => Ok(()),
    }
}

impl Dataset {
    /// Classes without a training sample.
    pub fn empty_classes(&self) -> Vec<usize> {
        if self.vocabulary().is_some() {
            return Vec::new(); // a text need not have every byte
        }
        let counts = counts(self);
        (0..self.classes).filter(|&class| counts[class] == 0).collect()
    }

    /// The name of a class, or its number where it has none.
    pub fn class_name(&self, class: usize) -> String {
        self.class_names.get(class).cloned().unwrap_or_else(|| class.to_string())
    }

    /// What its loader found odd, and what is odd about its tokens or its classes, with the likely reason.
    pub fn warnings(&self) -> Vec<Error> {
        let mut all = self.remarks.clone();
        all.extend(self.unseen());
        let empty = self.empty_classes();
        if empty.is_empty() {
            return all;
        }
        let what = format!("{} of {} classes have no training samples", empty.len(), self.classes);
        let names: Vec<String> = empty.iter().map(|&class| self.class_name(class)).collect();
        let error = Error::data(what).at(format!("empty: {}", named(&names)));
        all.push(match reason(&counts(self)).filter(|_| self.class_names.is_empty()) {
            Some(reason) => error.at(reason).hint("labels that count from 0 without gaps"),
            None => error.hint("nothing, if these classes are rare; their outputs are never right"),
        });
        all
    }
}

/// Why classes are likely to be empty.
fn reason(counts: &[usize]) -> Option<String> {
    let last = counts.iter().rposition(|&count| count > 0)?;
    let next = counts[..last].iter().rposition(|&count| count > 0);
    let samples: usize = counts.iter().sum();
    let is_few = counts[last] as f64 <= FEW * samples as f64;
    match next {
        Some(next) if last > 2 * (next + 1) && is_few => {
            let (count, gap) = (counts[last], last - next - 1);
            Some(format!(
                "label {last} ({count} samples) stands {gap} classes above the others: a mark, or a stray value?"
            ))
        }
        _ if counts[0] == 0 && counts[1..=last].iter().all(|&count| count > 0) => {
            Some(format!("labels are 1 to {last}: they seem to count from 1; here they count from 0"))
        }
        _ => None,
    }
}

/// The first few, and how many more there are.
pub fn named(all: &[String]) -> String {
    let mut words: Vec<String> = all.iter().take(NAMED).cloned().collect();
    if all.len() > NAMED {
        words.push(format!("and {} more", all.len() - NAMED));
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::Split;
    use super::*;

    fn source(labels: &[u8], classes: usize) -> Source {
        let split = || Split::bytes(vec![0; labels.len()], labels.to_vec());
        Source::new("s", vec![1], classes, split(), split())
    }

    #[test]
    fn one_class_is_refused() {
        let text = check(&source(&[3, 3, 3], 4)).unwrap_err().to_string();
        assert!(text.starts_with("all training samples of s have the label 3"), "{text}");
        assert!(check(&source(&[0, 1], 2)).is_ok());
    }

    #[test]
    fn empty_classes_are_told_with_the_likely_reason() {
        let hundred = |stray: &[u8]| [&[0u8, 1, 2].repeat(100)[..], stray].concat();
        for (labels, classes, words) in [
            (vec![1, 2, 3, 1, 2, 3], 4, "labels are 1 to 3: they seem to count from 1"),
            (hundred(&[255]), 256, "label 255 (1 samples) stands 252 classes above the others"),
            (hundred(&[255]), 256, "empty: 3, 4, 5, 6, 7, 8, 9, 10, and 244 more"),
            (vec![0, 3, 0, 3], 4, "2 of 4 classes have no training samples\n  empty: 1, 2\n  try: nothing"),
        ] {
            let set = Dataset::from_arrays(source(&labels, classes), 0.0).unwrap();
            let text = set.warnings()[0].to_string();
            assert!(text.contains(words), "{words} is not in {text}");
        }
        let set = Dataset::from_arrays(source(&hundred(&[]), 3), 0.5).unwrap();
        assert!(set.warnings().is_empty(), "what is held out counts");
    }
}
