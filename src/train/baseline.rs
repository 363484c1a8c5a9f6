//! The dense network that a sparse run is compared with: the same recipe without pruning and with all
//! layers training, measured on the same device; or, where it is too large for that, counted.

use std::collections::BTreeMap;
use std::time::Instant;

use super::compact;
use super::session::Session;
use super::watch::median;
use crate::data::Dataset;
use crate::error::Result;
use crate::gpu::{Cost, Gpu, Phase};
use crate::ops::variants::Choices;
use crate::recipe::{Recipe, Sparsity, Unfreeze};

/// What a step of the dense network takes.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Baseline {
    /// Steps that were timed as a run takes them, after a few to warm up.
    pub steps: u64,
    /// By phase, medians of single steps; `total` is wall clock over the steps.
    pub ms_per_step: BTreeMap<&'static str, f64>,
    pub step_cost: Cost,
    /// Bytes on the device, without those of the sparse run that was there before.
    pub peak_device_bytes: u64,
    pub stored_bytes: u64,
}

/// What the dense network would come to: counted as a plan does it, and not measured.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Counted {
    /// All maskable ones.
    pub weights: usize,
    /// Operations and bytes of one step.
    pub step_cost: Cost,
    pub peak_device_bytes: u64,
    /// Weights and biases.
    pub stored_bytes: u64,
}

/// The dense network beside a sparse run.
pub enum Dense {
    Measured(Baseline),
    Counted(Counted),
}

/// Steps before the first that counts.
const WARM_UP: u64 = 3;
/// Steps whose dispatches are timed one by one.
const SINGLE: u64 = 5;
/// At most so many steps, and about so many seconds of them.
const MOST: u64 = 50;
const SECONDS: f64 = 1.5;
/// Nothing is measured where the dense network would need more.
pub const MOST_BYTES: u64 = 2 << 30;

/// Counts the dense network as a plan does it, and measures it if it needs at most so many bytes on the device.
///
/// # Errors
/// What the device reports.
pub fn compare(
    gpu: &Gpu,
    recipe: &Recipe,
    data: &Dataset,
    choices: &Choices,
    most_bytes: u64,
) -> Result<Dense> {
    let recipe = Recipe { sparsity: Sparsity::none(), unfreeze: Unfreeze::default(), ..recipe.clone() };
    let counted = count(gpu, &recipe, data, choices)?;
    if gpu.is_counted() || counted.peak_device_bytes > most_bytes {
        return Ok(Dense::Counted(counted));
    }
    measure(gpu, &recipe, data, choices).map(Dense::Measured)
}

fn count(gpu: &Gpu, recipe: &Recipe, data: &Dataset, choices: &Choices) -> Result<Counted> {
    let counted = gpu.counted_like();
    let run = Session::new(&counted, recipe, data, choices.clone())?;
    let params = &run.model.params;
    Ok(Counted {
        weights: params.iter().filter(|param| param.prunable).map(|param| param.len()).sum(),
        step_cost: run.step_cost(),
        peak_device_bytes: counted.memory().peak_bytes,
        stored_bytes: 4 * params.iter().map(|param| param.len() as u64).sum::<u64>(),
    })
}

/// Builds the dense network beside whatever is on the device, takes a few steps, and gives it up again.
fn measure(gpu: &Gpu, recipe: &Recipe, data: &Dataset, choices: &Choices) -> Result<Baseline> {
    let before = gpu.memory().bytes;
    gpu.forget_peak();
    let mut run = Session::new(gpu, recipe, data, choices.clone())?;
    let first = Instant::now();
    for _ in 0..WARM_UP {
        advance(&mut run)?;
    }
    gpu.finish()?;
    let seconds = first.elapsed().as_secs_f64() / WARM_UP as f64;
    let steps = ((SECONDS / seconds) as u64).clamp(1, MOST);
    let began = Instant::now();
    for _ in 0..steps {
        advance(&mut run)?;
    }
    gpu.finish()?;
    let total = began.elapsed().as_secs_f64() * 1e3 / steps as f64;
    let mut phases: BTreeMap<Phase, Vec<f64>> = BTreeMap::new();
    for _ in 0..SINGLE.min(steps) {
        rewind(&mut run);
        let mut sums: BTreeMap<Phase, f64> = BTreeMap::new();
        run.advance_timed()?.1.iter().for_each(|timing| *sums.entry(timing.phase).or_default() += timing.ms);
        sums.into_iter().for_each(|(phase, ms)| phases.entry(phase).or_default().push(ms));
    }
    let mut ms_per_step: BTreeMap<&'static str, f64> =
        phases.iter().map(|(phase, all)| (phase.name(), median(all))).collect();
    ms_per_step.insert("total", total);
    Ok(Baseline {
        steps,
        ms_per_step,
        step_cost: run.step_cost(),
        stored_bytes: compact::bytes(&run.stored(false)?),
        peak_device_bytes: gpu.memory().peak_bytes - before + gpu.memory().fixed_bytes,
    })
}

/// A step, however short the run is.
fn advance(run: &mut Session) -> Result<()> {
    rewind(run);
    run.advance().map(|_| ())
}

fn rewind(run: &mut Session) {
    if run.is_done() {
        run.step = 0;
    }
}
