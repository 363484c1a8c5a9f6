//! A trained network of text that writes: one token at a time, with what came before remembered by its layers.

use super::folder::Facts;
use super::loaded::{COLUMNS, Loaded, finite};
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::nn::Model;
use crate::ops::variants::Choices;
use crate::random::{self, Stream};
use crate::recipe::Recipe;
use crate::store::Arrays;

/// A network on a device that reads tokens and says what may come next.
pub struct Writer {
    network: Loaded,
    /// What was read since it last began anew.
    read: Vec<u32>,
    most: Option<usize>,
    pub vocabulary: usize,
    /// Weights whose kept values alone are stored.
    pub packed: usize,
}

/// How the next token is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choose {
    /// What logits are divided by; 0 takes the likeliest token.
    pub temperature: f64,
    /// Of how many of the likeliest tokens; of all where it is `None`.
    pub top: Option<usize>,
    pub seed: u64,
}

impl Writer {
    /// A network with the weights of a file, zeros in place, as [`super::Session::weights`] lie.
    ///
    /// # Errors
    /// `Kind::Usage` for a network that reads no tokens or looks at later ones; `Kind::Checkpoint` where weights do not fit;
    /// whatever the device reports.
    pub fn new(
        gpu: &Gpu,
        recipe: &Recipe,
        facts: &Facts,
        weights: &Arrays,
        choices: &Choices,
    ) -> Result<Self> {
        let whole = facts.tokens();
        let model = Model::stepwise(&recipe.model, &whole, facts.classes, recipe.run.seed)?;
        let network = Loaded::new(gpu, model, weights, choices)?;
        let (most, packed) = (network.model.steps_at_most(), network.packed);
        Ok(Self { network, read: Vec::new(), most, vocabulary: facts.classes, packed })
    }

    /// Reads a token. Returns the logits of the next one, by token.
    ///
    /// Where a network has positions for so many steps and no more, it begins anew with the later half of what it has read.
    ///
    /// # Errors
    /// `Kind::Usage` for a number that is no token, `Kind::Numbers` for a logit that is not finite.
    pub fn read(&mut self, token: u32) -> Result<Vec<f32>> {
        if token as usize >= self.vocabulary {
            return Err(Error::usage(format!("token {token} is none of {}", self.vocabulary)));
        }
        if self.most == Some(self.read.len()) {
            let later = self.read.split_off(self.read.len().div_ceil(2));
            self.read.clear();
            for token in later {
                self.pass_through(token)?;
            }
        }
        self.pass_through(token)?;
        let logits = self.network.output(0)?;
        finite(logits.into_iter().step_by(COLUMNS).collect())
    }

    fn pass_through(&mut self, token: u32) -> Result<()> {
        let first = self.read.len() as u32;
        self.read.push(token);
        self.network.run(&[token, 0, 0, 0], first)
    }
}

impl Choose {
    /// Token number `n` that is written, from its logits: a function of these, the settings and the number.
    pub fn token(&self, logits: &[f32], n: u32) -> u32 {
        let mut order: Vec<usize> = (0..logits.len()).collect();
        order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a])); // stable: of equals the lower token
        if self.temperature == 0.0 {
            return order[0] as u32;
        }
        order.truncate(self.top.unwrap_or(usize::MAX));
        let peak = f64::from(logits[order[0]]);
        let share = |&token: &usize| ((f64::from(logits[token]) - peak) / self.temperature).exp();
        let total: f64 = order.iter().map(share).sum();
        let mut left = total * f64::from(random::uniform(self.seed, Stream::Written, 0, 0, n));
        for token in &order {
            left -= share(token);
            if left < 0.0 {
                return *token as u32;
            }
        }
        order[order.len() - 1] as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_drawn_by_their_probabilities() {
        let logits = [0.0, 2.0f32.ln(), f32::MIN, 5.0f32.ln()];
        let choose = Choose { temperature: 1.0, top: None, seed: 3 };
        let count =
            |choose: Choose, token: u32| (0..8000).filter(|&n| choose.token(&logits, n) == token).count();
        // Shares of 1, 2, 0 and 5 eighths, within five deviations.
        for (token, want) in [(0, 1000.0), (1, 2000.0), (2, 0.0), (3, 5000.0)] {
            assert!((count(choose, token) as f64 - want).abs() <= 220.0, "{token}");
        }
        assert_eq!(count(Choose { temperature: 0.0, ..choose }, 3), 8000);
        assert_eq!(count(Choose { top: Some(2), ..choose }, 0), 0);
        let cold = count(Choose { temperature: 0.5, ..choose }, 3) as f64; // 25 of 30
        assert!((cold - 8000.0 * 25.0 / 30.0).abs() <= 170.0, "{cold}");
        let drawn = |choose: Choose| (0..20).map(|n| choose.token(&logits, n)).collect::<Vec<_>>();
        assert_ne!(drawn(choose), drawn(Choose { seed: 4, ..choose }));
    }
}
