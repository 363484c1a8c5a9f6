//! Distillation: soft targets in place of labels. A method is one file and one line of the list.

use toml::Value;

use crate::error::Result;
use crate::gpu::check::Check;
use crate::gpu::{Gpu, Recorder, Tensor, Uniform};
use crate::recipe::{Distill, Settings, unknown};

mod none;
mod ps_kd;

pub use ps_kd::{PsKd, share};

/// What the names of a method's state begin with in checkpoints: no parameter's name does.
pub const PREFIX: &str = "distill/";

/// A method in the list.
pub struct Entry {
    pub name: &'static str,
    pub about: &'static str,
    pub paper: &'static str,
    /// Its settings with their defaults.
    pub settings: fn() -> Vec<(&'static str, Value)>,
    pub build: Build,
    pub checks: fn() -> Vec<Check>,
}

/// Makes a method for a training part; `None` leaves targets hard.
pub type Build = fn(&Gpu, &Settings, &Context) -> Result<Option<Box<dyn Method>>>;

/// All methods.
pub const ALL: &[Entry] = &[none::ENTRY, ps_kd::ENTRY];

/// What a method is made for.
pub struct Context<'a> {
    pub classes: usize,
    /// Columns of a batch.
    pub cols: usize,
    /// The class of each sample of the training part.
    pub labels: &'a [u8],
}

/// A batch after its forward pass.
pub struct Batch<'a> {
    pub step: &'a Uniform,
    /// `(classes, cols)`.
    pub logits: &'a Tensor,
    /// `(cols,)`.
    pub label: &'a Tensor,
    /// `(samples,)`: the samples of the epoch, in their order; the batch's own begin at `step.first`.
    pub order: &'a Tensor,
}

/// Where soft targets come from.
pub trait Method {
    /// Prepares the device for a step of an epoch; `epoch` counts from 0.
    fn begin(&self, epoch: u64, epochs: u64) -> Result<()>;
    /// Records the soft targets of a batch, before its loss.
    fn record(&self, rec: &mut Recorder, batch: &Batch) -> Result<()>;
    /// The soft targets, `(classes, cols)`.
    fn soft(&self) -> &Tensor;
    /// What the rest of a run depends on, by name.
    fn state(&self) -> Vec<(&'static str, &Tensor)>;
}

/// The recipe's section with every default of its method filled in.
///
/// # Errors
/// `Kind::Usage` for an unknown name or key, with the nearest known one.
pub fn complete(recipe: &Distill) -> Result<Distill> {
    let entry = find(recipe)?;
    let settings = recipe.settings.resolve(&format!("distillation `{}`", entry.name), &(entry.settings)())?;
    Ok(Distill { settings, ..recipe.clone() })
}

/// Makes the method that a recipe names.
///
/// # Errors
/// As [`complete`]; `Kind::Usage` for a setting out of range, `Kind::Memory` where the device has no room.
pub fn new(gpu: &Gpu, recipe: &Distill, context: &Context) -> Result<Option<Box<dyn Method>>> {
    (find(recipe)?.build)(gpu, &complete(recipe)?.settings, context)
}

fn find(recipe: &Distill) -> Result<&'static Entry> {
    let known = || unknown("distillation", &recipe.method, ALL.iter().map(|entry| entry.name));
    let found = ALL.iter().find(|entry| entry.name == recipe.method);
    found.ok_or_else(|| recipe.settings.locate("method", known()))
}

/// Every check of this room.
pub fn checks() -> Vec<Check> {
    ALL.iter().flat_map(|entry| (entry.checks)()).collect()
}
