//! Pruning: how many (budget), when (schedule), which (top-k), and the methods that compose them.
//!
//! The host only schedules: every mask is decided and written on the device. This room knows no optimizer.

use crate::error::{Error, Kind, Result};
use crate::gpu::check::Check;
use crate::gpu::{Gpu, Phase, Recorder};
use crate::ops::packed::Pattern;
use crate::param::{LATENT, MaskMode, Param, ParamId, ParamSet};

mod ahead;
pub mod budget;
mod diagonal;
mod draw;
mod fan_in;
pub mod filters;
mod first_dense;
mod forecast;
pub mod methods;
mod outline;
pub mod phases;
mod prepare;
mod pruner;
pub mod rules;
pub mod score;
pub mod select;
mod start;
pub mod structure;
mod turns;
pub mod update;
mod when;
mod work;
mod zeros;

pub use ahead::{Packed, any_pattern};
pub use outline::{Outline, outline};
pub use prepare::{Setting, kept_dense, prepare};
pub use pruner::Pruner;
pub use work::Work;

/// The length of a run, which turns shares and epochs into steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length {
    pub steps: u64,
    pub steps_per_epoch: u64,
}

/// A batch that passes through the network beside the order of training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// So many batches after the step's own, within its epoch.
    pub ahead: u64,
    /// Whether logits are divided by the method's temperature.
    pub tempered: bool,
}

/// What happens within one step, in the order in which a method wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// New masks, if an update is due, with zeros behind them.
    Masks,
    Forward,
    Backward,
    /// The optimizer; masks are applied inside its kernel.
    Update,
}

/// A mask update as it happened.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Change {
    pub step: u64,
    /// The sparsity that was due for the whole network; that of the patterns at the end, where masks are N:M.
    pub sparsity: f64,
    pub kept: usize,
    pub total: usize,
    pub layers: Vec<LayerChange>,
    /// Weights whose inputs might be in a better order still: the search for one ended with its last round.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<String>,
}

/// What a mask update did to one layer.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct LayerChange {
    pub name: String,
    pub kept: usize,
    pub grown: usize,
    pub dropped: usize,
    pub total: usize,
    /// `masked` or `packed`, from this update on.
    pub storage: &'static str,
}

impl LayerChange {
    fn none(param: &Param) -> Self {
        let (name, total, storage) = (param.name.clone(), param.len(), param.storage.name());
        Self { name, kept: 0, grown: 0, dropped: 0, total, storage }
    }
}

/// The new pattern of a packed parameter.
pub struct Renewal {
    pub param: ParamId,
    pub pattern: Pattern,
    /// What new weights start with, by index in rising order; those that are not named start at 0.
    pub grown: Vec<(u32, f32)>,
}

/// What an update came to: counts by layer, and the new patterns of packed parameters, which their owner applies.
#[derive(Default)]
pub struct Outcome {
    pub layers: Vec<LayerChange>,
    pub renewals: Vec<Renewal>,
}

/// Records what belongs to masks and to the layer or tensor `label`.
fn recorder(gpu: &Gpu, label: &str) -> Recorder {
    let mut rec = Recorder::new(gpu);
    rec.phase(Phase::Masks);
    rec.scope(label);
    rec
}

/// Records zeros behind the mask of one segment, where the forward pass is to see them.
fn record_zeros(rec: &mut Recorder, param: &Param, segment: usize) -> Result<()> {
    let own = &param.segments[segment];
    match param.mask_mode() {
        MaskMode::Latent => {
            update::hold::record_effective(rec, &own.mask, &param.tensors(LATENT)[segment], &own.weight)
        }
        MaskMode::Held => {
            update::hold::record_in_place(rec, &own.mask, &own.weight)?;
            update::hold::record_slots(rec, param, segment)
        }
        MaskMode::Free | MaskMode::Flowing => Ok(()),
    }
}

/// After each optimizer step, latent weights pass to the forward pass through their masks.
pub fn record_effective(rec: &mut Recorder, params: &ParamSet) -> Result<()> {
    for param in params.iter().filter(|param| param.mask_mode() == MaskMode::Latent) {
        rec.scope(&param.name);
        (0..param.segments.len()).try_for_each(|segment| record_zeros(rec, param, segment))?;
    }
    Ok(())
}

/// Refuses scores that are not numbers.
fn not_numbers(count: u32, what: &str, name: &str, step: u64) -> Result<()> {
    if count == 0 {
        return Ok(());
    }
    Err(Error::new(Kind::Numbers, format!("{count} {what} of `{name}` are not a number"))
        .at(format!("mask update at step {step}"))
        .hint("a lower learning rate; `coppice resume` starts from the last good checkpoint"))
}

/// Every check of this room.
pub fn checks() -> Vec<Check> {
    [select::checks(), structure::checks(), score::checks(), update::checks()].into_iter().flatten().collect()
}
