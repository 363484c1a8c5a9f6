//! Mask updates that grow weights: in tiles, without a dense gradient, where weights are packed; by one dense gradient and
//! one selection over all of it where they are masked.
//!
//! Both leave the same masks. They go in turns: a machine that drifts slows both.

use std::time::Instant;

use super::{Sheet, Times, fastest, scale, step};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::gpu::{Cost, Gpu, Timing};
use crate::ops::variants::Choices;
use crate::recipe::Recipe;
use crate::report::table;
use crate::train::Session;

/// A network of two hidden layers, and how much of it is pruned.
struct Network {
    name: &'static str,
    data: fn() -> Result<Dataset>,
    hidden: [usize; 2],
    target: f64,
}

const NETWORKS: [Network; 2] = [
    Network { name: "784-1024-1024-10", data: step::data, hidden: [1024, 1024], target: 0.99 },
    Network { name: "1024-2048-2048-1024", data: || scale::data(1024), hidden: [2048, 2048], target: 0.99 },
];

/// Steps from one update to the next; most are left out here.
const EVERY: u64 = 10;

/// A network at work in one storage, and what its updates took.
struct Runner {
    storage: &'static str,
    run: Session,
    /// Steps at which an update is due.
    due: Vec<u64>,
    peak_bytes: u64,
    /// What is there for updates alone.
    own_bytes: u64,
    updates: Vec<f64>,
    /// To masked ones right before.
    ratios: Vec<f64>,
    parts: Vec<Part>,
}

/// All dispatches of one kernel for one layer within an update.
struct Part {
    label: String,
    times: usize,
    cost: Cost,
    /// By repeat.
    ms: Vec<f64>,
}

pub fn measure(gpu: &Gpu, repeats: usize) -> Result<Vec<Sheet>> {
    measure_at(gpu, repeats, &NETWORKS)
}

fn measure_at(gpu: &Gpu, repeats: usize, networks: &[Network]) -> Result<Vec<Sheet>> {
    let (mut updates, mut kernels, mut details) = (Vec::new(), Vec::new(), Vec::new());
    for network in networks {
        let data = (network.data)()?;
        let mut masked = Runner::new(gpu, &data, network, "masked")?;
        let mut packed = Runner::new(gpu, &data, network, "packed")?;
        for _ in 0..repeats {
            let base = masked.update()?;
            masked.ratios.push(1.0);
            let ms = packed.update()?;
            packed.ratios.push(ms / base);
        }
        for _ in 0..repeats {
            masked.dissect()?;
            packed.dissect()?;
        }
        for runner in [masked, packed] {
            kernels.extend(by_kernel(network, &runner));
            details.push(by_layer(gpu, network, &runner));
            updates.push(runner.row(network)?);
        }
    }
    let title =
        "one mask update of RigL (ERK), batch 128, SGD with momentum; ms by wall clock, in turns. Of masked \
        storage every step has the dense gradient already; of packed storage the update computes it, in tiles"
            .to_string();
    let header = &[
        "network",
        "storage",
        "kept",
        "ms / mask update",
        "spread",
        "to masked",
        "spread of that",
        "ms in dispatches",
        "device peak",
        "for updates alone",
    ];
    let growth = Sheet { name: "growth", title, header, rows: updates };
    let title =
        "what each kernel takes of one update, all layers together; MB are those moved at least".to_string();
    let header = &["network", "storage", "kernel", "times", "ms", "MFLOP", "MB", "GB/s"];
    let mut sheets = vec![growth, Sheet { name: "growth kernels", title, header, rows: kernels }];
    sheets.extend(details);
    Ok(sheets)
}

impl Runner {
    /// A session whose pipelines are compiled.
    fn new(gpu: &Gpu, data: &Dataset, network: &Network, storage: &'static str) -> Result<Self> {
        let text = format!(
            "run = {{ epochs = 1000 }}\ndata = {{ name = 'random' }}\nmodel = {{ preset = 'mlp', hidden = {:?} }}\n\
             optim = {{ name = 'sgd', lr = 0.001, weight_decay = 5e-4 }}\n[sparsity]\nmethod = 'rigl'\n\
             distribution = 'erk'\nstorage = '{storage}'\ntarget = {}\nschedule = {{ every = {EVERY} }}",
            network.hidden, network.target
        );
        let recipe = Recipe::parse(&text, "bench", &[])?;
        let choices = fastest(gpu, &recipe, data)?;
        let own_bytes = own_bytes(gpu, &recipe, data, choices.clone())?;
        let before = gpu.memory().bytes;
        gpu.forget_peak();
        let run = Session::new(gpu, &recipe, data, choices)?;
        let steps = 1..run.length.steps;
        let is_due = |&step: &u64| run.pruner.as_ref().is_some_and(|pruner| pruner.due(step).is_some());
        let due = steps.filter(is_due).collect();
        let (updates, ratios, parts) = (Vec::new(), Vec::new(), Vec::new());
        let mut runner = Self { storage, run, due, peak_bytes: 0, own_bytes, updates, ratios, parts };
        runner.prepare()?;
        runner.run.update_masks()?;
        let memory = gpu.memory();
        runner.peak_bytes = memory.peak_bytes - before + memory.fixed_bytes;
        Ok(runner)
    }

    /// Takes the step before one of the first updates, which drop the most, so that there are gradients.
    fn prepare(&mut self) -> Result<()> {
        let number = self.updates.len() + self.parts.first().map_or(0, |part| part.ms.len());
        let early = self.due.len().div_ceil(4).max(1);
        let due = self.due.get(number % early).ok_or_else(|| Error::internal("no update is due"))?;
        self.run.step = due - 1;
        self.run.advance()?;
        self.run.gpu.finish()
    }

    /// Milliseconds of one update, as a run has it.
    fn update(&mut self) -> Result<f64> {
        self.prepare()?;
        let began = Instant::now();
        self.run.update_masks()?;
        self.run.gpu.finish()?;
        let ms = began.elapsed().as_secs_f64() * 1e3;
        self.updates.push(ms);
        Ok(ms)
    }

    /// One more update, dispatch by dispatch.
    fn dissect(&mut self) -> Result<()> {
        self.prepare()?;
        let gpu = self.run.gpu.clone();
        let (_, timings) = gpu.timing(|| self.run.update_masks())?;
        let repeats = self.parts.first().map_or(0, |part| part.ms.len());
        self.parts.iter_mut().for_each(|part| part.ms.push(0.0));
        for Timing { label, ms, cost, .. } in timings {
            let known = self.parts.iter().position(|part| part.label == label);
            let position = known.unwrap_or_else(|| {
                let ms = vec![0.0; repeats + 1];
                self.parts.push(Part { label, times: 0, cost: Cost::default(), ms });
                self.parts.len() - 1
            });
            let part = &mut self.parts[position];
            part.ms[repeats] += ms;
            if repeats == 0 {
                part.times += 1;
                part.cost = part.cost + cost;
            }
        }
        Ok(())
    }

    fn row(&self, network: &Network) -> Result<Vec<String>> {
        let (times, ratios) = (Times::of(self.updates.clone()), Times::of(self.ratios.clone()));
        let maskable = self.run.model.params.iter().filter(|param| param.prunable);
        let kept: usize = maskable.map(|param| param.kept()).sum::<Result<_>>()?;
        let in_dispatches: f64 = self.parts.iter().map(|part| Times::of(part.ms.clone()).median).sum();
        Ok(vec![
            network.name.into(),
            self.storage.into(),
            kept.to_string(),
            format!("{:.2}", times.median),
            times.spread(),
            format!("{:.3}", ratios.median),
            ratios.spread(),
            format!("{in_dispatches:.2}"),
            table::bytes(self.peak_bytes),
            table::bytes(self.own_bytes),
        ])
    }
}

/// Bytes on the device that mask updates alone need, of a session of this recipe.
fn own_bytes(gpu: &Gpu, recipe: &Recipe, data: &Dataset, choices: Choices) -> Result<u64> {
    let counted = gpu.counted_like();
    let mut run = Session::new(&counted, recipe, data, choices)?;
    let before = counted.memory().bytes;
    run.pruner.iter_mut().for_each(|pruner| pruner.forget());
    Ok(before - counted.memory().bytes)
}

/// A row for each kernel, in the order in which they first come.
fn by_kernel(network: &Network, runner: &Runner) -> Vec<Vec<String>> {
    let mut all: Vec<Part> = Vec::new();
    for part in &runner.parts {
        let kernel = part.label.rsplit(' ').next().unwrap_or_default();
        match all.iter_mut().find(|one| one.label == kernel) {
            Some(one) => {
                one.times += part.times;
                one.cost = one.cost + part.cost;
                one.ms.iter_mut().zip(&part.ms).for_each(|(sum, ms)| *sum += ms);
            }
            None => all.push(Part {
                label: kernel.into(),
                times: part.times,
                cost: part.cost,
                ms: part.ms.clone(),
            }),
        }
    }
    let row = |part: &Part| {
        let own = vec![network.name.to_string(), runner.storage.to_string(), part.label.clone()];
        [own, part.cells(false)].concat()
    };
    all.iter().map(row).collect()
}

/// Every kernel of every layer.
fn by_layer(gpu: &Gpu, network: &Network, runner: &Runner) -> Sheet {
    let row = |part: &Part| [vec![part.label.clone()], part.cells(true)].concat();
    let title = format!(
        "one mask update of {}, {}, dispatch by dispatch, timed by {:?}",
        network.name,
        runner.storage,
        gpu.clock()
    );
    let header = &["dispatch", "times", "ms", "spread", "MFLOP", "MB", "GB/s"];
    Sheet {
        name: "growth dispatches",
        title: title.to_lowercase(),
        header,
        rows: runner.parts.iter().map(row).collect(),
    }
}

impl Part {
    fn cells(&self, with_spread: bool) -> Vec<String> {
        let times = Times::of(self.ms.clone());
        let mut cells = vec![self.times.to_string(), format!("{:.3}", times.median)];
        cells.extend(with_spread.then(|| times.spread()));
        cells.push(format!("{:.2}", self.cost.flops as f64 / 1e6));
        cells.push(format!("{:.3}", self.cost.bytes as f64 / 1e6));
        cells.push(format!("{:.1}", self.cost.bytes as f64 / times.median.max(1e-6) / 1e6));
        cells
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Network = Network { name: "small", data: || scale::data(16), hidden: [32, 24], target: 0.8 };

    #[test]
    fn both_storages_are_measured_with_the_kernels_that_are_their_own() {
        let sheets = measure_at(&Gpu::twin(), 3, &[SMALL]).unwrap();
        for sheet in &sheets {
            assert!(!sheet.rows.is_empty(), "{}", sheet.name);
            assert!(sheet.rows.iter().all(|row| row.len() == sheet.header.len()), "{}", sheet.name);
        }
        let [growth, kernels, masked, packed] = &sheets[..] else { panic!("{} sheets", sheets.len()) };
        let column = |sheet: &Sheet, name: &str, row: usize| -> String {
            let at = sheet.header.iter().position(|own| *own == name).unwrap();
            sheet.rows[row][at].clone()
        };
        for (row, storage) in ["masked", "packed"].into_iter().enumerate() {
            assert_eq!(column(growth, "storage", row), storage);
            // A fifth of (16 + 24) x 32 + 24 x 16 weights.
            assert_eq!(column(growth, "kept", row), "333");
            let ms = |name: &str| column(growth, name, row).parse::<f64>().unwrap();
            assert!(ms("ms / mask update") > 0.0 && ms("ms in dispatches") > 0.0, "{:?}", growth.rows[row]);
        }
        let has = |sheet: &Sheet, kernel: &str| sheet.rows.iter().any(|row| row[0].ends_with(kernel));
        for kernel in
            ["candidates:strike", "collect:survey", "collect:move_tile", "sparsity/select/topk_small"]
        {
            assert!(has(packed, kernel), "{kernel} is not in {:?}", packed.rows);
        }
        for kernel in ["sparsity/select/merge", "candidates:choose_quads", "sparsity/select/topk_small"] {
            assert!(has(masked, kernel), "{kernel} is not in {:?}", masked.rows);
        }
        assert!(!has(packed, "sparsity/select/merge") && !has(masked, "collect:survey"));
        // Three layers have one line together.
        let of = |sheet: &Sheet, at: usize, times: usize, kernel: &str| -> u32 {
            let rows = sheet.rows.iter().filter(|row| row[at].ends_with(kernel));
            rows.map(|row| row[times].parse::<u32>().unwrap()).sum()
        };
        let together: Vec<_> = kernels.rows.iter().filter(|row| row[2].ends_with("collect:survey")).collect();
        assert_eq!(together.len(), 1, "{together:?}");
        assert_eq!(of(kernels, 2, 3, "collect:survey"), of(packed, 0, 1, "collect:survey"));
    }
}
