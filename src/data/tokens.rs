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
    /// Bytes of text that a token stands for, on average; `None` where that is not known.
    pub bytes_per_token: Option<f64>,
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

    /// A text without what lies from the token `end` on, or before the token `begin`.
    pub(super) fn part(&self, begin: usize, end: usize) -> Self {
        Self { stream: self.stream[begin..end].to_vec(), ..self.clone() }
    }
    /// The rows whose number passes `chosen`, which do not overlap.
    pub(super) fn filter(&self, chosen: impl Fn(usize) -> bool) -> Self {
        let rows = (0..self.len()).filter(|&row| chosen(row));
        Self { stream: rows.flat_map(|row| self.row(row, 0).to_vec()).collect(), ..self.clone() }
    }

    /// What of it is wrong.
    pub(super) fn check(&self) -> Result<()> {
        if self.skips >= self.reads || self.every == 0 {
            return Err(Error::data("rows of tokens ask for nothing").at(format!(
                "{} tokens are read, {} of them before the first question",
                self.reads, self.skips
            )));
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
        Tokens { stream, vocabulary: 10, every, reads, skips, padding, order, bytes_per_token: None }
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
    fn what_is_no_token_is_refused_by_its_place() {
        assert!(
            tokens(&[0, 1, 12], 1, 1, 0, None).check().unwrap_err().to_string().contains("token 2 is 12")
        );
        assert!(tokens(&[0, 1, 2], 1, 1, 1, None).check().is_err());
        assert!(tokens(&[0, 1, 2], 1, 1, 0, None).check().is_ok());
    }
}
