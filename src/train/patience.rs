//! Early stopping: a stage ends once its validation loss has not fallen in so many evaluations.   Prechelt 1998.

/// What the evaluations of a stage have shown so far. State of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Patience {
    /// The lowest loss so far.
    pub lowest: Option<f64>,
    /// Evaluations since.
    pub waited: u32,
}

impl Patience {
    pub(super) fn see(&mut self, loss: f64) {
        match self.lowest {
            Some(lowest) if !(loss < lowest) => self.waited += 1,
            _ => *self = Self { lowest: Some(loss), waited: 0 },
        }
    }
    /// Whether it is over, where it lasts for so many evaluations.
    pub(super) fn is_over(&self, evaluations: Option<u32>) -> bool {
        evaluations.is_some_and(|most| self.waited >= most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lower_loss_renews_it() {
        let mut patience = Patience::default();
        let mut seen = |loss: f64| {
            patience.see(loss);
            (patience.waited, patience.is_over(Some(2)), patience.is_over(None))
        };
        let found = [1.0, 0.5, 0.5, 0.4, 0.6, f64::NAN].map(&mut seen);
        assert_eq!(found.map(|(waited, ..)| waited), [0, 0, 1, 0, 1, 2]);
        assert_eq!(found.map(|(_, over, _)| over), [false, false, false, false, false, true]);
        assert!(found.iter().all(|(.., never)| !never));
    }
}
