//! What pruning methods cost: one mask update, and what a method adds to every step, beside the dense network.
//!
//! Every method of the registry is measured, masked storage, so that the products are the same as the dense ones and the
//! difference is the method's own. Rows go in turns: a machine that drifts slows all.

use std::time::Instant;

use super::sparse::block;
use super::step::data;
use super::{Sheet, Times, fastest};
use crate::data::Dataset;
use crate::error::{Error, Kind, Result};
use crate::gpu::{Dtype, Gpu, Phase, Plan, Recorder};
use crate::ops::sum;
use crate::param::MaskMode;
use crate::recipe::Recipe;
use crate::sparsity::methods::{self, Entry, Start};
use crate::train::Session;

/// Hidden layers of 784-a-b-10: 0.27, 1.86 and 3.99 million weights.
const HIDDEN: [[usize; 2]; 3] = [[300, 100], [1024, 1024], [1640, 1640]];
/// What is pruned, and when: single weights, or else N:M; again and again, or once; without a target, where it is learned.
const PATTERNS: [&str; 7] = [
    "target = 0.9\nschedule = { end = '50%', every = 1000000 }",
    "pattern = '2:4'\nschedule = { every = 1000000 }",
    "target = 0.9\nschedule = { every = 1000000 }",
    "target = 0.9\nschedule = { type = 'oneshot', begin = '50%' }",
    "pattern = '2:4'\nschedule = { type = 'oneshot', begin = '50%' }",
    "target = 0.9",
    "schedule = { every = 1000000 }",
];
/// Steps before the first that counts, and of one timed block.
const WARM_UP: usize = 5;
const BLOCK: usize = 5;

pub fn measure(gpu: &Gpu, repeats: usize) -> Result<Vec<Sheet>> {
    measure_at(gpu, repeats, &HIDDEN)
}

/// A method at work, and its times.
struct Runner {
    name: String,
    run: Session,
    /// A step at which an update is due, where masks are updated by themselves: not in every step.
    due: Option<u64>,
    updates: Vec<f64>,
    steps: Vec<f64>,
    /// Of dense steps right before.
    ratios: Vec<f64>,
}

/// Steps of masks that are found, not made, are those of `static`.
fn is_measured(entry: &&Entry) -> bool {
    entry.name != "none" && entry.start != Start::Zeros
}

fn measure_at(gpu: &Gpu, repeats: usize, hidden: &[[usize; 2]]) -> Result<Vec<Sheet>> {
    let data = data()?;
    let (mut updates, mut steps) = (Vec::new(), Vec::new());
    for &hidden in hidden {
        let mut dense = runner(gpu, &data, hidden, "none", "")?;
        let weights: usize = maskable(&dense.run).map(|param| param.len()).sum();
        let (mut all, mut left_out) = (Vec::new(), Vec::new());
        for entry in methods::ALL.iter().filter(is_measured) {
            match first_that_fits(gpu, &data, hidden, entry) {
                Ok(runner) => all.push(runner),
                Err(error) if error.kind == Kind::Usage => left_out.push((entry.name, error)),
                Err(error) => return Err(error.at(format!("method `{}`", entry.name))),
            }
        }
        let read = reading(gpu, &dense.run)?;
        let mut reads = Vec::new();
        for _ in 0..repeats {
            reads.extend(read.time(1)?);
            for runner in &mut all {
                let one = update(gpu, runner)?;
                runner.updates.extend(one);
                let base = block(gpu, &mut dense.run, BLOCK)?;
                let ms = block(gpu, &mut runner.run, BLOCK)?;
                dense.steps.push(base);
                runner.steps.push(ms);
                runner.ratios.push(ms / base);
            }
        }
        let (read, base) = (Times::of(reads), Times::of(dense.steps));
        let one = vec!["one read".into(), weights.to_string()];
        updates.push([one, cells(read, weights, read, base)].concat());
        steps.push(step_row("dense", weights, base, Times::of(vec![1.0])));
        for runner in all {
            if !runner.updates.is_empty() {
                let name = vec![runner.name.clone(), weights.to_string()];
                updates.push([name, cells(Times::of(runner.updates), weights, read, base)].concat());
            }
            steps.push(step_row(&runner.name, weights, Times::of(runner.steps), Times::of(runner.ratios)));
        }
        for (name, error) in left_out {
            let what = error.to_string().lines().next().unwrap_or_default().to_string();
            steps.push(vec![
                name.into(),
                weights.to_string(),
                what,
                String::new(),
                String::new(),
                String::new(),
            ]);
        }
    }
    let title = "one mask update, masked storage; of methods that make masks in every step, their \
        dispatches there; ms, rows in turns"
        .to_string();
    let header =
        &["method", "weights", "ms", "spread", "ms / million weights", "times a read", "of a dense step"];
    let updates = Sheet { name: "updates", title, header, rows: updates };
    let title =
        "training steps without mask updates, 784-a-b-10, batch 128, SGD with momentum, masked storage; \
        ms by wall clock, rows in turns"
            .to_string();
    let header = &["method", "weights", "ms / step", "spread", "to dense", "spread of that"];
    Ok(vec![updates, Sheet { name: "method steps", title, header, rows: steps }])
}

fn cells(times: Times, weights: usize, read: Times, dense: Times) -> Vec<String> {
    vec![
        format!("{:.3}", times.median),
        times.spread(),
        format!("{:.3}", times.median * 1e6 / weights as f64),
        format!("{:.1}", times.median / read.median),
        format!("{:.3}", times.median / dense.median),
    ]
}

fn step_row(name: &str, weights: usize, times: Times, ratios: Times) -> Vec<String> {
    let (ms, ratio) = (format!("{:.3}", times.median), format!("{:.3}", ratios.median));
    vec![name.into(), weights.to_string(), ms, times.spread(), ratio, ratios.spread()]
}

/// A method with the first pattern that it takes.
fn first_that_fits(gpu: &Gpu, data: &Dataset, hidden: [usize; 2], entry: &Entry) -> Result<Runner> {
    let mut refused = Error::internal("there is no pattern");
    for pattern in PATTERNS {
        match runner(gpu, data, hidden, entry.name, pattern) {
            Err(error) if error.kind == Kind::Usage => refused = error,
            other => return other,
        }
    }
    Err(refused)
}

/// A warm session. Its updates lie at the begin and in the middle of a long run, not among the steps that are timed.
fn runner(gpu: &Gpu, data: &Dataset, hidden: [usize; 2], method: &str, pattern: &str) -> Result<Runner> {
    let text = format!(
        "run = {{ epochs = 10000 }}\ndata = {{ name = 'random' }}\nmodel = {{ preset = 'mlp', hidden = {hidden:?} }}\n\
         optim = {{ name = 'sgd', lr = 0.001, weight_decay = 5e-4 }}\n\
         [sparsity]\nmethod = '{method}'\nstorage = 'masked'\n{pattern}"
    );
    let recipe = Recipe::parse(&text, "bench", &[])?;
    let choices = fastest(gpu, &recipe, data)?;
    let mut run = Session::new(gpu, &recipe, data, choices)?;
    for _ in 0..WARM_UP {
        run.advance()?;
    }
    let flows = maskable(&run).any(|param| param.mask_mode() == MaskMode::Flowing);
    let due = |pruner: &crate::sparsity::Pruner| {
        (0..run.length.steps).rev().find(|&step| pruner.due(step).is_some())
    };
    let due = if flows { None } else { run.pruner.as_ref().and_then(due) };
    Ok(Runner { name: method.into(), run, due, updates: Vec::new(), steps: Vec::new(), ratios: Vec::new() })
}

/// Milliseconds of one mask update; `None` where masks never change.
fn update(gpu: &Gpu, runner: &mut Runner) -> Result<Option<f64>> {
    let Some(step) = runner.due else {
        let (_, times) = runner.run.advance_timed()?;
        let ms = times.iter().filter(|time| time.phase == Phase::Masks).map(|time| time.ms).sum::<f64>();
        return Ok((ms > 0.0).then_some(ms));
    };
    let Some(pruner) = &runner.run.pruner else { return Ok(None) };
    gpu.finish()?;
    let began = Instant::now();
    let again = |look| runner.run.look(look);
    let changed = pruner.update(step, &runner.run.model.params, &again)?;
    gpu.finish()?;
    let ms = began.elapsed().as_secs_f64() * 1e3;
    Ok(changed.map(|_| ms))
}

/// Reads every weight that can be pruned, once.
fn reading(gpu: &Gpu, run: &Session) -> Result<Plan> {
    let result = gpu.tensor("sum", Dtype::F32, &[1])?;
    let mut rec = Recorder::new(gpu);
    for block in maskable(run).flat_map(|param| &param.segments) {
        sum::record_squares(&mut rec, &block.weight, &result)?;
    }
    rec.finish()
}

fn maskable(run: &Session) -> impl Iterator<Item = &crate::param::Param> {
    run.model.params.iter().filter(|param| param.prunable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_of_the_registry_is_measured() {
        // Wide enough for ASP: outputs in eights, inputs in sixteens.
        let sheets = measure_at(&Gpu::twin(), 2, &[[16, 8]]).unwrap();
        let names = |sheet: &Sheet| sheet.rows.iter().map(|row| row[0].clone()).collect::<Vec<_>>();
        for entry in methods::ALL.iter().filter(is_measured) {
            assert!(names(&sheets[1]).iter().any(|name| name == entry.name), "{}", entry.name);
        }
        // A method that is left out has its reason there.
        for row in &sheets[1].rows {
            assert!(row[2].parse().is_ok_and(|ms: f64| ms >= 0.0 && ms.is_finite()), "{row:?}");
        }
        let updates = names(&sheets[0]);
        for method in
            ["one read", "gmp", "granet", "set", "rigl", "snfs", "str", "sr-ste", "mdgf", "sdgf", "asp"]
        {
            assert!(updates.iter().any(|name| name == method), "{method} is not in {updates:?}");
        }
        assert!(!updates.contains(&"static".to_string()), "its masks never change");
        for row in &sheets[0].rows {
            let ms: f64 = row[2].parse().unwrap();
            assert!(row[1] == "12752" && ms >= 0.0 && ms.is_finite(), "{row:?}");
        }
        for sheet in &sheets {
            assert!(sheet.rows.iter().all(|row| row.len() == sheet.header.len()), "{}", sheet.name);
        }
    }
}
