//! From evaluations to the best network under a budget.

use std::collections::HashMap;

use super::budget::Budget;
use super::cost::Kind;
use super::evolution::{Landscape, evolve};
use super::genes::{Draw, Genes};
use super::predictor::Predictor;
use super::rank::spearman;
use super::record::Marks;
use super::report::{Compared, Event, Found, Ranking, Report};
use super::run::{Options, Search};
use crate::error::{Error, Result};
use crate::train::Part;

/// Networks that are drawn before a budget counts as one that none meets.
const FEASIBLE_TRIES: usize = 1000;

impl Search<'_> {
    /// Trains a predictor on four fifths of some evaluated networks, and ranks it by the others.
    fn predictor(&self, drawn: &[Genes], marks: &[Marks]) -> Result<(Predictor, Ranking)> {
        let features: Vec<Vec<f32>> = drawn.iter().map(|genes| self.pool.features(genes)).collect();
        let accuracies: Vec<f64> = marks.iter().map(|marks| marks.accuracy).collect();
        let learned = drawn.len() * 4 / 5;
        let Options { predictor, seed, .. } = &self.options;
        let own = Predictor::train(
            &self.session.gpu,
            predictor,
            &features[..learned],
            &accuracies[..learned],
            *seed,
        )?;
        let (found, wanted) = (own.predict(&features[learned..])?, &accuracies[learned..]);
        let squares: f64 = found.iter().zip(wanted).map(|(a, b)| (a - b) * (a - b)).sum();
        let ranking = Ranking {
            learned_from: learned,
            ranked: wanted.len(),
            rank_correlation: spearman(&found, wanted),
            error: (squares / wanted.len() as f64).sqrt(),
        };
        Ok((own, ranking))
    }

    /// The best network under each budget, beside random ones.
    ///
    /// # Errors
    /// `Kind::Usage` for a budget that no network meets, with the lowest costs that were met; what the device and the file
    /// system report.
    pub fn find(&mut self, budgets: &[Budget], told: &mut dyn FnMut(Event)) -> Result<Report> {
        if budgets.iter().any(|budget| budget.names(Kind::Latency)) {
            self.measure(told)?;
        }
        // Cheap to see, and evaluations may take hours.
        let first = budgets.iter().map(|budget| self.feasible(budget)).collect::<Result<Vec<_>>>()?;
        let seed = self.options.seed;
        let drawn = self.pool.draw(seed, Draw::Learned, self.options.evaluate);
        if drawn.len() < 10 {
            return Err(Error::usage(format!("the space has only {} networks", self.pool.len()))
                .hint("evaluate them one by one: coppice eval RUN --subnet"));
        }
        let marks = self.evaluate_all(Draw::Learned, &drawn, told)?;
        let (predictor, ranking) = self.predictor(&drawn, &marks)?;
        told(Event::Ranked(ranking));
        let compared = self.pool.draw(seed, Draw::Compared, self.options.random);
        let others = self.evaluate_all(Draw::Compared, &compared, told)?;
        let mut random = Vec::new();
        for (genes, marks) in compared.iter().zip(others) {
            let (subnet, costs) = (self.pool.pick(genes).to_string(), self.costs(genes)?);
            random.push(Compared { subnet, accuracy: marks.accuracy, costs });
        }
        let mut found = Vec::new();
        for (budget, first) in budgets.iter().zip(first) {
            found.push(self.under((budget, first), &predictor, &drawn, &random, told)?);
        }
        // All together, so that a busy moment slows all alike.
        if self.table.is_some() {
            let nets =
                found.iter().map(|own| Ok(self.parse(&own.subnet)?.subnet)).collect::<Result<Vec<_>>>()?;
            let times = self.stopwatch().wholes(&nets)?;
            found.iter_mut().zip(times).for_each(|(own, ms)| own.measured_ms = Some(ms));
        }
        Ok(Report { ranking, found, random })
    }

    /// A network that meets a budget: the smallest, or else one of many that are drawn.
    fn feasible(&mut self, budget: &Budget) -> Result<Genes> {
        let drawn = self.pool.draw(self.options.seed, Draw::Feasible, FEASIBLE_TRIES);
        for genes in self.pool.smallest_of_all().into_iter().chain(drawn) {
            if budget.admits(&self.costs(&genes)?) {
                return Ok(genes);
            }
        }
        Err(self.infeasible(budget))
    }

    fn infeasible(&self, budget: &Budget) -> Error {
        let least =
            |kind: Kind| self.costs.values().map(|costs| costs.of(kind)).fold(f64::INFINITY, f64::min);
        let smallest = &self.pool.smallest();
        let mut error = Error::usage(format!("no network meets the budget {budget}"));
        for limit in &budget.limits {
            let own = self.costs.get(smallest).map_or(f64::INFINITY, |costs| costs.of(limit.kind));
            error = error.at(format!(
                "{}: the smallest network has {}; the least that was seen is {}",
                limit.kind.name(),
                limit.kind.shown(own),
                limit.kind.shown(least(limit.kind))
            ));
        }
        error.at(format!("the smallest network is {}", self.pool.pick(smallest))).hint("a larger budget")
    }

    fn under(
        &mut self,
        (budget, first): (&Budget, Genes),
        predictor: &Predictor,
        drawn: &[Genes],
        random: &[Compared],
        told: &mut dyn FnMut(Event),
    ) -> Result<Found> {
        let (evolution, seed) = (self.options.evolution, self.options.seed);
        let mut land = Land { search: self, budget, predictor, known: HashMap::new() };
        let population = evolve(&mut land, &evolution, &[first], seed)?;
        let finalists = population.into_iter().take(self.options.finalists).map(|(genes, _)| genes);
        let finalists: Vec<Genes> = finalists.collect();
        self.evaluate_all(Draw::Evolution, &finalists, told)?;
        // What was evaluated for the predictor is known, and may be better.
        let mut best: Option<(Genes, Marks)> = None;
        for genes in finalists.iter().chain(drawn) {
            let marks = self.evaluate(genes)?;
            let better =
                |(_, than): &(Genes, Marks)| (marks.accuracy, -marks.loss) > (than.accuracy, -than.loss);
            if budget.admits(&self.costs(genes)?) && best.as_ref().is_none_or(better) {
                best = Some((genes.clone(), marks));
            }
        }
        let (genes, marks) = best.ok_or_else(|| self.infeasible(budget))?;
        let pick = self.pool.pick(&genes);
        let others = random.iter().filter(|other| budget.admits(&other.costs));
        Ok(Found {
            budget: budget.to_string(),
            subnet: pick.to_string(),
            predicted: predictor.predict(&[self.pool.features(&genes)])?[0],
            accuracy: marks.accuracy,
            test_accuracy: self.judge(&pick, Part::Test)?.accuracy,
            costs: self.costs(&genes)?,
            measured_ms: None,
            best_random: others.map(|other| other.accuracy).max_by(f64::total_cmp),
        })
    }
}

/// Networks under a budget, by what the predictor expects of them.
struct Land<'a, 'b> {
    search: &'a mut Search<'b>,
    budget: &'a Budget,
    predictor: &'a Predictor,
    known: HashMap<Genes, f64>,
}

impl Landscape for Land<'_, '_> {
    fn choices(&self) -> &[usize] {
        self.search.pool.choices()
    }
    fn is_of_whole(&self, gene: usize) -> bool {
        self.search.pool.is_of_whole(gene)
    }
    fn canonical(&self, genes: Genes) -> Genes {
        self.search.pool.canonical(genes)
    }
    fn admits(&mut self, genes: &Genes) -> Result<bool> {
        Ok(self.budget.admits(&self.search.costs(genes)?))
    }
    fn fitness(&mut self, all: &[Genes]) -> Result<Vec<f64>> {
        let fresh: Vec<&Genes> = all.iter().filter(|genes| !self.known.contains_key(*genes)).collect();
        let features: Vec<Vec<f32>> = fresh.iter().map(|genes| self.search.pool.features(genes)).collect();
        let found = self.predictor.predict(&features)?;
        self.known.extend(fresh.into_iter().cloned().zip(found));
        Ok(all.iter().map(|genes| self.known[genes]).collect())
    }
}
