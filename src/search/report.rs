//! What a search says: on its way, and at its end.

use super::cost::Costs;
use super::genes::Draw;

/// What a search is at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    /// Rounds in which all layers were timed.
    Timed { done: usize, of: usize },
    /// Networks that were evaluated, or known already, and what for.
    Evaluated { what: Draw, done: usize, of: usize },
    /// The predictor is trained.
    Ranked(Ranking),
}

/// How well a predictor ranks networks that it has not learned from.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Ranking {
    pub learned_from: usize,
    pub ranked: usize,
    /// Spearman's; `None` where all are equally accurate.
    pub rank_correlation: Option<f64>,
    /// The square root of the mean squared error of accuracies, 0 to 1.
    pub error: f64,
}

/// What was found under a budget.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Found {
    pub budget: String,
    /// As `--subnet` takes it.
    pub subnet: String,
    /// What the predictor expects, 0 to 1.
    pub predicted: f64,
    /// On the images that subnets are judged on.
    pub accuracy: f64,
    /// On the test part, which nothing was chosen by.
    pub test_accuracy: f64,
    pub costs: Costs,
    /// The whole network, timed.
    pub measured_ms: Option<f64>,
    /// The best accuracy among the random networks that meet the budget.
    pub best_random: Option<f64>,
}

/// A random network, evaluated.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Compared {
    pub subnet: String,
    pub accuracy: f64,
    pub costs: Costs,
}

/// A network that was timed as a whole beside what the table says.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Timed {
    pub subnet: String,
    pub table_ms: f64,
    pub measured_ms: f64,
}

impl Timed {
    /// How far the table is off, as a share of what was measured.
    pub fn error(&self) -> f64 {
        (self.table_ms - self.measured_ms).abs() / self.measured_ms
    }
}

/// What a search came to.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Report {
    pub ranking: Ranking,
    pub found: Vec<Found>,
    pub random: Vec<Compared>,
}

/// Points (cost, accuracy) that no other one beats in both, from the cheapest on.
pub fn front(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut all = points.to_vec();
    all.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
    let mut front: Vec<(f64, f64)> = Vec::new();
    for point in all {
        if front.last().is_none_or(|last| point.1 > last.1) {
            front.push(point);
        }
    }
    front
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_front_is_what_nothing_beats() {
        let points = [(3.0, 0.9), (1.0, 0.5), (2.0, 0.4), (2.0, 0.8), (4.0, 0.9), (1.0, 0.3)];
        assert_eq!(front(&points), [(1.0, 0.5), (2.0, 0.8), (3.0, 0.9)]);
        assert_eq!(front(&[]), []);
    }
}
