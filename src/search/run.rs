//! A search from evaluations to what was found.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::budget::Budget;
use super::cost::{Costs, Counter, Kind};
use super::evolution::{Evolution, Landscape, evolve};
use super::genes::{Draw, Genes, Pool};
use super::latency::{Stopwatch, Table};
use super::predictor::{Predictor, Shape};
use super::rank::spearman;
use super::record::{Marks, Record};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::shrink::{Density, Pick, Supernet};
use crate::store::digest::Digest;
use crate::train::{Part, Session};

/// Random networks that a table of latencies is fitted on, besides the full and the smallest.
const FITTED_ON: usize = 8;

/// How a search is made.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Random networks that are evaluated; the predictor learns from four fifths and is ranked by the others.
    pub evaluate: usize,
    /// What may be kept of a network's weights.
    pub densities: Vec<Density>,
    pub seed: u64,
    pub evolution: Evolution,
    pub predictor: Shape,
    /// Of the last population, how many are evaluated.
    pub finalists: usize,
    /// Random networks that found ones are compared with.
    pub random: usize,
    /// Samples of a batch, for latency and memory.
    pub batch: usize,
    /// Times that each latency is measured.
    pub repeats: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            evaluate: 400,
            densities: vec![Density::Full],
            seed: 0,
            evolution: Evolution::default(),
            predictor: Shape::default(),
            finalists: 8,
            random: 100,
            batch: 1,
            repeats: 7,
        }
    }
}

/// What a search is at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    /// Networks whose layers were timed.
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

/// A search over the subnets of a session's weights as they are now. With the same options and evaluations it finds the same.
pub struct Search<'a> {
    session: &'a Session,
    supernet: Supernet,
    pub options: Options,
    pub pool: Pool,
    counter: Counter,
    table: Option<Table>,
    record: Record,
    costs: HashMap<Genes, Costs>,
    folder: Option<PathBuf>,
}

impl<'a> Search<'a> {
    /// Judges subnets on the validation part of `data`, which the session was made with: see [`Dataset::to_compare`].
    /// Evaluations and latencies are kept in the folder `search` of a run's folder, if there is one.
    ///
    /// # Errors
    /// `Kind::Usage` for a network without subnets, options out of range, or no images to judge by; what reading the folder
    /// reports.
    pub fn new(session: &'a Session, data: &Dataset, run: Option<&Path>, options: Options) -> Result<Self> {
        options.evolution.check()?;
        let least = |name: &str, value: usize, least: usize| match value >= least {
            true => Ok(()),
            false => Err(Error::usage(format!("{name} = {value}: it is at least {least}"))),
        };
        least("networks to evaluate", options.evaluate, 10)?;
        least("finalists", options.finalists, 1)?;
        least("batch", options.batch, 1)?;
        least("densities", options.densities.len(), 1)?;
        if data.validation.is_empty() {
            return Err(Error::usage("there are no images to judge subnets by").hint("--images 2000"));
        }
        let supernet = session.supernet()?;
        let (gpu, model) = (&session.gpu, &session.model);
        let mut pool = Pool::new(&supernet.space, &options.densities);
        pool.densities.iter().enumerate().try_for_each(|(at, density)| {
            match pool.densities[..at].contains(density) {
                true => Err(Error::usage(format!("density {density} is named twice"))),
                false => Ok(()),
            }
        })?;
        // The smallest network is to be the last of all choices.
        pool.densities.sort_by(|a, b| share(*b).total_cmp(&share(*a)));
        let counter =
            Counter::new(gpu, &pool.space, &model.input, model.classes, &session.choices, options.batch);
        let folder = run.map(|run| run.join("search"));
        let of = identity(session, data)?;
        let record = Record::open(folder.as_ref().map(|own| own.join("subnets.jsonl")).as_deref(), &of)?;
        let costs = HashMap::new();
        Ok(Self { session, supernet, options, pool, counter, table: None, record, costs, folder })
    }

    /// A network by its name: see [`Pick::parse`].
    ///
    /// # Errors
    /// `Kind::Usage` where there is none of that name.
    pub fn parse(&self, text: &str) -> Result<Pick> {
        Pick::parse(&self.pool.space, text)
    }

    /// Networks that are evaluated already.
    pub fn known(&self) -> usize {
        self.record.len()
    }

    /// The table of latencies: that of the run's folder where it is of this device and batch size, or else measured.
    pub fn measure(&mut self, told: &mut dyn FnMut(Event)) -> Result<&Table> {
        if self.table.is_none() {
            let identity = self.session.gpu.identity();
            let words = format!("{} {} {}", identity.adapter, identity.backend, self.options.batch);
            let name = words.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
            let file = format!("latency-{}.json", name.collect::<Vec<_>>().join("-").to_lowercase());
            let path = self.folder.as_ref().map(|folder| folder.join(file));
            let stored = path.as_deref().map(|path| Table::load(path, identity, self.options.batch));
            let table = match stored.transpose()?.flatten() {
                Some(table) => table,
                None => {
                    let table = self.measured(told)?;
                    if let Some(path) = path {
                        let folder = path.parent().expect("a file in a folder");
                        std::fs::create_dir_all(folder)
                            .map_err(|e| crate::store::folder::failed("create", folder, e))?;
                        table.save(&path)?;
                    }
                    table
                }
            };
            self.table = Some(table);
            self.costs.clear();
        }
        Ok(self.table.as_ref().expect("just made"))
    }

    fn stopwatch(&self) -> Stopwatch<'_> {
        Stopwatch { gpu: &self.session.gpu, counter: &self.counter, repeats: self.options.repeats }
    }

    fn measured(&self, told: &mut dyn FnMut(Event)) -> Result<Table> {
        let mut table = Table::new(self.session.gpu.identity(), self.options.batch);
        let watch = self.stopwatch();
        watch.learn_all(&mut table, &mut |done, of| told(Event::Timed { done, of }))?;
        let mut nets = vec![self.pool.space.full(), self.pool.space.smallest()];
        nets.extend(self.random_subnets(Draw::Fitted, FITTED_ON));
        let pairs = nets.iter().map(|net| watch.pair(&table, net)).collect::<Result<Vec<_>>>()?;
        table.fit(&pairs);
        Ok(table)
    }

    fn random_subnets(&self, draw: Draw, count: usize) -> Vec<crate::nn::Subnet> {
        let dense = Pool::new(&self.pool.space, &[Density::Full]);
        dense.draw(self.options.seed, draw, count).iter().map(|genes| dense.pick(genes).subnet).collect()
    }

    /// Times random networks as wholes, beside what the table says of them.
    pub fn check_latency(&mut self, count: usize, told: &mut dyn FnMut(Event)) -> Result<Vec<Timed>> {
        self.measure(told)?;
        let table = self.table.as_ref().expect("just measured");
        let watch = self.stopwatch();
        let timed = |subnet: &crate::nn::Subnet| -> Result<Timed> {
            let (sum, measured_ms) = watch.pair(table, subnet)?;
            let table_ms = table.constant_ms + table.factor * sum;
            Ok(Timed { subnet: subnet.to_string(), table_ms, measured_ms })
        };
        self.random_subnets(Draw::Checked, count).iter().map(timed).collect()
    }

    /// What a network costs.
    pub fn costs(&mut self, genes: &Genes) -> Result<Costs> {
        if let Some(costs) = self.costs.get(genes) {
            return Ok(*costs);
        }
        let costs = self.counter.costs(&self.pool.pick(genes), self.table.as_ref())?;
        self.costs.insert(genes.clone(), costs);
        Ok(costs)
    }

    /// What a network does on the images: it is cut out, pruned where it is to be, recalibrated and judged, unless that is known.
    pub fn evaluate(&mut self, genes: &Genes) -> Result<Marks> {
        let pick = self.pool.pick(genes);
        let name = pick.to_string();
        if let Some(marks) = self.record.get(&name) {
            return Ok(marks);
        }
        let marks = self.judge(&pick, Part::Validation)?;
        self.record.add(&name, marks)?;
        Ok(marks)
    }

    fn judge(&self, pick: &Pick, part: Part) -> Result<Marks> {
        let cut = self.session.cut_pick(&self.supernet, pick)?;
        let found = self.session.evaluate_part(&cut, part)?;
        let found =
            found.ok_or_else(|| Error::internal("a part of the data that is to be judged is empty"))?;
        Ok(Marks { accuracy: found.totals.accuracy(), loss: found.totals.mean_loss() })
    }

    fn evaluate_all(&mut self, what: Draw, all: &[Genes], told: &mut dyn FnMut(Event)) -> Result<Vec<Marks>> {
        let mut found = Vec::new();
        for genes in all {
            found.push(self.evaluate(genes)?);
            told(Event::Evaluated { what, done: found.len(), of: all.len() });
        }
        Ok(found)
    }

    /// Evaluates networks, trains a predictor on four fifths of them, and ranks it by the others.
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
        let smallest = self.pool.smallest();
        let costs = self.costs(&smallest)?;
        let doubtful = budgets.iter().filter(|budget| !budget.admits(&costs));
        for budget in doubtful.collect::<Vec<_>>() {
            self.feasible(budget)?;
        }
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
        for budget in budgets {
            found.push(self.under(budget, &predictor, &drawn, &random, told)?);
        }
        Ok(Report { ranking, found, random })
    }

    /// Whether some network meets a budget that the smallest does not.
    fn feasible(&mut self, budget: &Budget) -> Result<()> {
        let tries = self.options.evolution.tries * 10;
        for genes in self.pool.draw(self.options.seed, Draw::Evolution, tries) {
            if budget.admits(&self.costs(&genes)?) {
                return Ok(());
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
        budget: &Budget,
        predictor: &Predictor,
        drawn: &[Genes],
        random: &[Compared],
        told: &mut dyn FnMut(Event),
    ) -> Result<Found> {
        let (evolution, seed) = (self.options.evolution, self.options.seed);
        let first = [self.pool.smallest()];
        let mut land = Land { search: self, budget, predictor, known: HashMap::new() };
        let population = evolve(&mut land, &evolution, &first, seed)?;
        if population.is_empty() {
            return Err(self.infeasible(budget));
        }
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
        let measured = self.table.is_some().then(|| self.stopwatch().whole(&pick.subnet)).transpose()?;
        let others = random.iter().filter(|other| budget.admits(&other.costs));
        Ok(Found {
            budget: budget.to_string(),
            subnet: pick.to_string(),
            predicted: predictor.predict(&[self.pool.features(&genes)])?[0],
            accuracy: marks.accuracy,
            test_accuracy: self.judge(&pick, Part::Test)?.accuracy,
            costs: self.costs(&genes)?,
            measured_ms: measured,
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
    fn of_whole(&self) -> Option<usize> {
        Some(self.search.pool.of_whole())
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

/// What a density keeps, more or less.
fn share(density: Density) -> f64 {
    match density {
        Density::Full => 1.0,
        Density::Share(share) => share,
        Density::Groups { keep, of } => keep as f64 / of as f64,
    }
}

/// What evaluations depend on: weights, images, and how many batches statistics are observed over.
fn identity(session: &Session, data: &Dataset) -> Result<String> {
    let mut digest = Digest::new();
    for (name, array) in &session.weights()? {
        digest.array(name, array);
    }
    let batches = session.observed_batches().to_le_bytes();
    digest.bytes("batches", &batches).bytes("data", data.hash.as_bytes());
    digest.bytes("images", &(data.validation.len() as u64).to_le_bytes());
    Ok(digest.hex()[..16].to_string())
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
