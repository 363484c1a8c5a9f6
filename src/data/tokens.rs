//! Samples that are rows of tokens: windows of a text, or sources with their targets.

use super::Dataset;
use crate::error::{Error, Result};

/// Rows that are cut from one stream of tokens. A row has `reads + 1` of them: the model reads all but the last, and is
/// asked for the next one after each, from the token number `skips` on.
#[derive(Clone, Debug, PartialEq)]
pub struct Tokens {
    /// Whole numbers below `vocabulary`.
    pub stream: Vec<u32>,
    pub vocabulary: usize,
    /// From the start of one row to that of the next.
    pub every: usize,
    pub reads: usize,
    pub skips: usize,
    /// A token that nobody is asked for.
    pub padding: Option<u32>,
    pub order: Order,
    /// Bytes of text that tokens stand for; `None` where that is not known.
    pub bytes: Option<ByteCounts>,
}

/// How many bytes of text each token of a stream stands for.
#[derive(Clone, Debug, PartialEq)]
pub enum ByteCounts {
    /// Tokens are bytes.
    One,
    /// By token: as many wherever it stands.
    ByToken(Vec<u32>),
    /// By position in the stream: what a tokenizer leaves out, or cuts within a character, belongs to a token beside it.
    ByPosition(Vec<u32>),
}

/// How rows follow each other in training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// In another order in each epoch. Windows of a text begin elsewhere in each, too, so that no token is always the first.
    Shuffled,
    /// The text is cut into as many streams as a batch has samples; each step takes the next row of all of them.
    Streams,
}

impl Tokens {
    /// The number of rows.
    pub fn len(&self) -> usize {
        self.stream.len().checked_sub(self.reads + 1).map_or(0, |rest| rest / self.every + 1)
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Labels of a row, those that nobody is asked for included.
    pub fn labels(&self) -> usize {
        self.reads - self.skips
    }
    /// Whether rows are windows of one text, and not each a thing of its own.
    pub fn is_text(&self) -> bool {
        self.every <= self.reads
    }
    /// A row, from so many tokens later on.
    ///
    /// # Panics
    /// If it is none.
    pub fn row(&self, row: usize, shift: usize) -> &[u32] {
        &self.stream[row * self.every + shift..][..self.reads + 1]
    }
    /// By row, how many labels are asked for.
    pub fn asked(&self) -> Vec<u32> {
        let count = |row: &[u32]| row[self.skips + 1..].iter().filter(|&&t| Some(t) != self.padding).count();
        (0..self.len()).map(|row| count(self.row(row, 0)) as u32).collect()
    }

    /// Bytes that a label stands for, on average over the first so many rows; `None` where that is not known.
    pub fn bytes_per_label(&self, rows: usize) -> Option<f64> {
        let count = |at: usize| match self.bytes.as_ref()? {
            ByteCounts::One => Some(1),
            ByteCounts::ByToken(all) => Some(all[self.stream[at] as usize]),
            ByteCounts::ByPosition(all) => Some(all[at]),
        };
        let labels =
            (0..rows).flat_map(|row| row * self.every + self.skips + 1..=row * self.every + self.reads);
        let asked = labels.filter(|&at| Some(self.stream[at]) != self.padding);
        let (mut bytes, mut labels) = (0, 0);
        for at in asked {
            bytes += u64::from(count(at)?);
            labels += 1u64;
        }
        (labels > 0).then(|| bytes as f64 / labels as f64)
    }

    /// A text without what lies from the token `end` on, or before the token `begin`.
    pub(super) fn part(&self, begin: usize, end: usize) -> Self {
        self.taken(|all| all[begin..end].to_vec())
    }
    /// The rows whose number passes `chosen`, which do not overlap.
    pub(super) fn filter(&self, chosen: impl Fn(usize) -> bool) -> Self {
        let rows: Vec<usize> = (0..self.len()).filter(|&row| chosen(row)).collect();
        self.taken(|all| {
            let row = |&row: &usize| &all[row * self.every..][..self.reads + 1];
            rows.iter().flat_map(row).copied().collect()
        })
    }
    /// With what `take` leaves of the stream.
    fn taken(&self, take: impl Fn(&[u32]) -> Vec<u32>) -> Self {
        let bytes = self.bytes.as_ref().map(|bytes| match bytes {
            ByteCounts::ByPosition(all) => ByteCounts::ByPosition(take(all)),
            other => other.clone(),
        });
        let Self { vocabulary, every, reads, skips, padding, order, .. } = *self;
        Self { stream: take(&self.stream), vocabulary, every, reads, skips, padding, order, bytes }
    }

    /// What of it is wrong.
    pub(super) fn check(&self) -> Result<()> {
        if self.skips >= self.reads || self.every == 0 {
            return Err(Error::data("rows of tokens ask for nothing").at(format!(
                "{} tokens are read, {} of them before the first question",
                self.reads, self.skips
            )));
        }
        let counts = match &self.bytes {
            Some(ByteCounts::ByToken(all)) => Some(("tokens", all.len(), self.vocabulary)),
            Some(ByteCounts::ByPosition(all)) => Some(("tokens of the stream", all.len(), self.stream.len())),
            Some(ByteCounts::One) | None => None,
        };
        if let Some((what, found, expected)) = counts.filter(|(_, found, expected)| found != expected) {
            return Err(Error::data("the counts of bytes do not fit the tokens")
                .at(format!("expected: one for each of {expected} {what}; found: {found}")));
        }
        match self.stream.iter().position(|&token| token as usize >= self.vocabulary) {
            Some(at) => Err(Error::data(format!("token {at} is {}", self.stream[at]))
                .at(format!("expected: below {}, the number of different ones", self.vocabulary))),
            None => Ok(()),
        }
    }
}

impl Dataset {
    /// Of sets of tokens, how many different ones there are.
    pub fn vocabulary(&self) -> Option<usize> {
        self.train.tokens().map(|tokens| tokens.vocabulary)
    }
    /// Labels of a sample.
    pub fn labels(&self) -> usize {
        self.train.tokens().map_or(1, Tokens::labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(stream: &[u32], every: usize, reads: usize, skips: usize, padding: Option<u32>) -> Tokens {
        let (stream, order) = (stream.to_vec(), Order::Shuffled);
        Tokens { stream, vocabulary: 10, every, reads, skips, padding, order, bytes: None }
    }

    #[test]
    fn windows_share_the_token_between_them() {
        let text = tokens(&[0, 1, 2, 3, 4, 5, 6, 7], 3, 3, 0, None);
        assert_eq!((text.len(), text.labels(), text.is_text()), (2, 3, true));
        assert_eq!(
            (text.row(0, 0), text.row(1, 0), text.row(1, 1)),
            (&[0, 1, 2, 3][..], &[3, 4, 5, 6][..], &[4, 5, 6, 7][..])
        );
        assert_eq!(text.asked(), [3, 3]);
        assert_eq!(text.part(2, 6).len(), 1);
        assert!(tokens(&[1, 2, 3], 3, 3, 0, None).is_empty());
    }

    #[test]
    fn padding_is_not_asked_for() {
        // Sources of two, targets of two.
        let pairs = tokens(&[5, 6, 1, 7, 2, 5, 0, 1, 2, 0], 5, 4, 2, Some(0));
        assert_eq!((pairs.len(), pairs.labels(), pairs.is_text()), (2, 2, false));
        assert_eq!(pairs.asked(), [2, 1]);
        assert_eq!(pairs.filter(|row| row == 1).stream, [5, 0, 1, 2, 0]);
    }

    #[test]
    fn bytes_are_those_of_the_labels_of_a_part() {
        let counted = |bytes| Tokens { bytes: Some(bytes), ..tokens(&[0, 1, 2, 3, 0, 1, 1], 2, 2, 0, None) };
        let by_token = counted(ByteCounts::ByToken(vec![1, 2, 3, 4, 1, 1, 1, 1, 1, 1]));
        assert_eq!(by_token.bytes_per_label(3), Some((2 + 3 + 4 + 1 + 2 + 2) as f64 / 6.0));
        assert_eq!((by_token.bytes_per_label(1), by_token.bytes_per_label(0)), (Some(2.5), None));
        let by_position = counted(ByteCounts::ByPosition(vec![9, 1, 2, 5, 0, 3, 4]));
        assert_eq!(by_position.bytes_per_label(3), Some(15.0 / 6.0));
        assert_eq!(by_position.part(3, 7).bytes_per_label(1), Some(1.5));
        assert_eq!(by_position.filter(|row| row == 2).bytes, Some(ByteCounts::ByPosition(vec![0, 3, 4])));
        let short = counted(ByteCounts::ByPosition(vec![1])).check().unwrap_err().to_string();
        assert!(short.contains("each of 7 tokens of the stream; found: 1"), "{short}");
        // What fills a target up is no label.
        let padded = tokens(&[5, 1, 7, 0], 4, 3, 1, Some(0));
        let counts = ByteCounts::ByPosition(vec![1, 1, 8, 6]);
        assert_eq!(Tokens { bytes: Some(counts), ..padded }.bytes_per_label(1), Some(8.0));
    }

    #[test]
    fn what_is_no_token_is_refused_by_its_place() {
        assert!(
            tokens(&[0, 1, 12], 1, 1, 0, None).check().unwrap_err().to_string().contains("token 2 is 12")
        );
        assert!(tokens(&[0, 1, 2], 1, 1, 1, None).check().is_err());
        assert!(tokens(&[0, 1, 2], 1, 1, 0, None).check().is_ok());
    }
}
