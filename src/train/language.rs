//! Figures of networks that are asked at each step of a sequence.

use crate::data::{Split, Tokens};

/// What is known of the tokens of a part of a data set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Asked {
    /// Of this part: text at its end may have other characters.
    bytes_per_label: Option<f64>,
    /// Whether each sample is a thing of its own, which is right as a whole or not.
    is_whole: bool,
    /// Of a sample.
    labels: usize,
}

/// How well the next token is known.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Language {
    /// `exp` of the mean loss: as if one of so many tokens, all as likely, came next.
    pub perplexity: f64,
    /// The loss in bits for each byte of text; `None` where a token is no known number of bytes.
    pub bits_per_byte: Option<f64>,
    /// Share of samples all of whose answers are right, 0 to 1; `None` for windows of a text. Given the right answers before
    /// each one: where all are right then, so are those that a network gives by itself.
    pub exact: Option<f64>,
}

impl Asked {
    /// Of the first so many samples of a part.
    pub fn of(part: &Split, samples: usize) -> Option<Self> {
        let of = |tokens: &Tokens| Self {
            bytes_per_label: tokens.bytes_per_label(samples),
            is_whole: !tokens.is_text(),
            labels: tokens.labels(),
        };
        part.tokens().map(of)
    }
    /// From the mean loss in nats, and the verdict on each answer, sample by sample: above 0 where it is right, 0 where none was
    /// asked for.
    pub fn figures(&self, loss: f64, verdicts: &[f32]) -> Language {
        let samples = verdicts.chunks(self.labels);
        let (all, right) =
            (samples.len().max(1), samples.filter(|own| own.iter().all(|&v| v >= 0.0)).count());
        Language {
            perplexity: loss.exp(),
            bits_per_byte: self.bytes_per_label.map(|bytes| loss / std::f64::consts::LN_2 / bytes),
            exact: self.is_whole.then(|| right as f64 / all as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_follow_from_loss_and_verdicts() {
        let text = Asked { bytes_per_label: Some(2.0), is_whole: false, labels: 2 };
        let found = text.figures(std::f64::consts::LN_2 * 3.0, &[0.5, -0.5]);
        assert!((found.perplexity - 8.0).abs() < 1e-12);
        assert_eq!((found.bits_per_byte, found.exact), (Some(1.5), None));
        let pairs = Asked { bytes_per_label: None, is_whole: true, labels: 2 };
        let found = pairs.figures(0.0, &[0.5, 0.4, 0.5, -0.4, 0.9, 0.0, -0.9, 0.0]);
        assert_eq!((found.perplexity, found.bits_per_byte, found.exact), (1.0, None, Some(0.5)));
    }
}
