//! A search and what it goes by: evaluations and costs of networks.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::cost::{Costs, Counter};
use super::evolution::Evolution;
use super::genes::{Draw, Genes, Pool};
use super::latency::Table;
use super::predictor::Shape;
use super::record::{Marks, Record};
use super::report::{Event, Timed};
use super::stopwatch::Stopwatch;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::gpu::Identity;
use crate::nn::Subnet;
use crate::shrink::{Density, Pick, Supernet};
use crate::store::digest::Digest;
use crate::store::folder::failed;
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
            repeats: 15,
        }
    }
}

/// A search over the subnets of a session's weights as they are now. With the same options and evaluations it finds the same.
pub struct Search<'a> {
    pub(super) session: &'a Session,
    supernet: Supernet,
    pub options: Options,
    pub pool: Pool,
    counter: Counter,
    pub(super) table: Option<Table>,
    record: Record,
    pub(super) costs: HashMap<Genes, Costs>,
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
        least("repeats", options.repeats, 1)?;
        let narrowest = options.predictor.hidden.iter().min().map_or(1, |units| *units as usize);
        least("units of a hidden layer", narrowest, 1)?;
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

    pub fn device(&self) -> &Identity {
        self.session.gpu.identity()
    }
    /// Networks that are evaluated already.
    pub fn known(&self) -> usize {
        self.record.len()
    }

    /// The table of latencies: that of the run's folder where it is of this device, batch size and at least as many repeats,
    /// or else measured.
    pub fn measure(&mut self, told: &mut dyn FnMut(Event)) -> Result<&Table> {
        if self.table.is_none() {
            let identity = self.session.gpu.identity();
            let words = format!("{} {} {}", identity.adapter, identity.backend, self.options.batch);
            let name = words.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
            let file = format!("latency-{}.json", name.collect::<Vec<_>>().join("-").to_lowercase());
            let path = self.folder.as_ref().map(|folder| folder.join(file));
            let Options { batch, repeats, .. } = self.options;
            let stored = path.as_deref().map(|path| Table::load(path, identity, batch, repeats));
            let table = match stored.transpose()?.flatten() {
                Some(table) => table,
                None => {
                    let table = self.measured(told)?;
                    if let Some(path) = path {
                        let folder = path.parent().expect("a file in a folder");
                        std::fs::create_dir_all(folder).map_err(|e| failed("create", folder, e))?;
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

    pub(super) fn stopwatch(&self) -> Stopwatch<'_> {
        Stopwatch { gpu: &self.session.gpu, counter: &self.counter, repeats: self.options.repeats }
    }

    fn measured(&self, told: &mut dyn FnMut(Event)) -> Result<Table> {
        let mut table = Table::new(self.session.gpu.identity(), self.options.batch, self.options.repeats);
        let mut nets = vec![self.pool.space.full(), self.pool.space.smallest()];
        nets.extend(self.random_subnets(Draw::Fitted, FITTED_ON));
        self.stopwatch().measure(&mut table, &nets, &mut |done, of| told(Event::Timed { done, of }))?;
        Ok(table)
    }

    fn random_subnets(&self, draw: Draw, count: usize) -> Vec<Subnet> {
        let dense = Pool::new(&self.pool.space, &[Density::Full]);
        dense.draw(self.options.seed, draw, count).iter().map(|genes| dense.pick(genes).subnet).collect()
    }

    /// Times random networks as wholes, beside what the table says of them.
    pub fn check_latency(&mut self, count: usize, told: &mut dyn FnMut(Event)) -> Result<Vec<Timed>> {
        self.measure(told)?;
        let table = self.table.as_ref().expect("just measured");
        let (watch, nets) = (self.stopwatch(), self.random_subnets(Draw::Checked, count));
        let timed = |(net, measured_ms): (&Subnet, f64)| {
            Ok(Timed { subnet: net.to_string(), table_ms: watch.latency(table, net)?, measured_ms })
        };
        nets.iter().zip(watch.wholes(&nets)?).map(timed).collect()
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

    pub(super) fn judge(&self, pick: &Pick, part: Part) -> Result<Marks> {
        let cut = self.session.cut_pick(&self.supernet, pick)?;
        let found = self.session.evaluate_part(&cut, part)?;
        let found =
            found.ok_or_else(|| Error::internal("a part of the data that is to be judged is empty"))?;
        Ok(Marks { accuracy: found.totals.accuracy(), loss: found.totals.mean_loss() })
    }

    pub(super) fn evaluate_all(
        &mut self,
        what: Draw,
        all: &[Genes],
        told: &mut dyn FnMut(Event),
    ) -> Result<Vec<Marks>> {
        let mut found = Vec::new();
        for genes in all {
            found.push(self.evaluate(genes)?);
            told(Event::Evaluated { what, done: found.len(), of: all.len() });
        }
        Ok(found)
    }
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
