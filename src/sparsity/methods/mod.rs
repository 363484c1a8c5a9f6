//! The pruning methods, each one file and one line of the list.

use toml::Value;

use super::structure::groups::Gate;
use super::structure::pool::Pooling;
use super::update::growth::Growth;
use super::update::prune::Criterion;
use super::update::shrink::Pull;
use super::update::threshold;
use super::{Length, Stage, budget, score::mean};
use crate::error::{Error, Result};
use crate::param::{MaskMode, Matrix};
use crate::recipe::{Distribution, PruneSchedule, Settings, Sparsity, unknown};

mod at_start;
mod complete;
mod dynamic;
mod gmp;
mod granet;
mod held;
mod imp;
mod mdgf;
mod none;
mod oneshot;
mod rigl;
mod sdgf;
mod set;
mod snfs;
mod sr_ste;
mod static_mask;
mod str;
mod topkast;

pub use complete::complete;

/// A method in the list.
pub struct Entry {
    pub name: &'static str,
    pub about: &'static str,
    pub paper: &'static str,
    /// What happens within a step, in order.
    pub order: &'static [Stage],
    /// What weights are kept before the first step.
    pub start: Start,
    /// Where the recipe names no distribution.
    pub distribution: Distribution,
    /// What it takes of a schedule.
    pub schedule: Heed,
    /// Whether it prunes to the initial density first.
    pub heeds_init: bool,
    /// What it does with a target.
    pub aim: Aim,
    /// Settings of its own, with their defaults.
    pub settings: fn() -> Vec<(&'static str, Value)>,
    /// Those of them that the others leave without effect, by path, and why; a recipe may not write them then.
    pub unheeded: fn(&Settings) -> Vec<(&'static str, String)>,
    pub build: Build,
}

/// What a method does with `target`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// Nothing is pruned.
    Nothing,
    /// The sparsity is asked for.
    Asked,
    /// It is learned, and comes out.
    Learned,
    /// It is that of the weights which the run starts with.
    Given,
}

/// What a method takes of `schedule`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heed {
    All,
    /// How often alone.
    Every,
    Nothing,
}

/// The masks before the first step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// All weights are kept.
    Dense,
    /// As many as the target allows, at random.
    Random,
    /// Those that do not start at 0.
    Zeros,
    /// All, or as many as the initial density allows, at random; by ERK where the distribution is global.
    Initial,
}

/// Makes a method from its recipe; `None` prunes nothing.
pub type Build = fn(&Sparsity, &Settings) -> Result<Option<Box<dyn Method>>>;

/// All methods.
pub const ALL: &[Entry] = &[
    none::ENTRY,
    oneshot::ONESHOT,
    gmp::ENTRY,
    granet::ENTRY,
    at_start::SNIP,
    at_start::GRASP,
    imp::ENTRY,
    static_mask::ENTRY,
    held::ENTRY,
    set::ENTRY,
    rigl::ENTRY,
    snfs::ENTRY,
    topkast::ENTRY,
    str::ENTRY,
    sr_ste::STE,
    sr_ste::SR_STE,
    mdgf::ENTRY,
    sdgf::ENTRY,
    oneshot::ASP,
];

/// How many weights a method deals with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Weights that may be pruned.
    pub prunable: usize,
    /// Those of them that are kept at the end.
    pub keep: usize,
    /// Weights that rules keep dense.
    pub dense: usize,
}

/// When masks are updated, and how sparse they then are.
pub trait Method {
    /// What happens to pruned weights.
    fn mask_mode(&self) -> MaskMode;
    /// Tells, once and before the first budget, how many weights and how many steps there are.
    fn size(&mut self, sizes: Sizes, length: Length) -> Result<()> {
        let _ = (sizes, length);
        Ok(())
    }
    /// The whole network's sparsity, if masks are updated at `step`.
    fn due(&self, step: u64, length: Length) -> Option<f64>;
    /// The sparsity at `step` of a tensor whose final sparsity is `target`.
    fn sparsity(&self, step: u64, target: f64, length: Length) -> f64;
    /// Weights kept of `len` at `sparsity`.
    fn keep(&self, len: usize, sparsity: f64) -> usize {
        budget::keep(len, sparsity)
    }
    /// How weights are dropped and grown at an update, after what is pruned.
    fn growth(&self) -> Option<&Growth> {
        None
    }
    /// Whether it can prune whole filters.
    fn prunes_filters(&self) -> bool {
        false
    }
    /// Whether the groups that are pruned by themselves take turns within each interval.
    fn in_turn(&self) -> Option<&PruneSchedule> {
        None
    }
    /// What weights are pruned by.
    fn criterion(&self) -> Criterion {
        Criterion::Magnitude
    }
    /// What stands for a block of weights.
    fn pooling(&self) -> Pooling {
        Pooling::Mean
    }
    /// Whether a weight of this shape is left dense.
    fn skips(&self, matrix: Matrix) -> bool {
        let _ = matrix;
        false
    }
    /// Where hidden units are permuted before weights are pruned, the rounds that the search for an order has at most.
    fn permutes(&self) -> Option<u32> {
        None
    }
    /// Whether the optimizer begins anew at a mask update.
    fn resets(&self) -> bool {
        false
    }
    /// Whether the optimizer rests at `step`.
    fn rests(&self, step: u64, length: Length) -> bool {
        let _ = (step, length);
        false
    }
    /// A running mean of the dense gradient, which then is computed at every step.
    fn mean(&self) -> Option<mean::Rule> {
        None
    }
    /// What passes of groups of which `keep` of `of` are kept at the end, where masks flow.
    fn gate(&self, step: u64, length: Length, keep: usize, of: usize) -> Option<Gate> {
        let _ = (step, length, keep, of);
        None
    }
    /// The step from which on masks that flow are held.
    fn frozen_from(&self, length: Length) -> Option<u64> {
        let _ = length;
        None
    }
    /// The share of a layer's weights that is trained beyond those that are kept, where pruned weights keep a value.
    fn backward_set(&self) -> Option<f64> {
        None
    }
    /// The step whose values all weights and biases go back to after each prune, with slots of 0.
    fn rewind(&self) -> Option<u64> {
        None
    }
    /// The step of the training schedule that `step` repeats, and the length of that course: learning rate, the share of
    /// past predictions and, where all goes back to an early step, the number of updates are functions of it.
    fn clock(&self, step: u64, length: Length) -> (u64, Length) {
        (step, length)
    }
    /// How the thresholds of layers are learned; the sparsity then is not asked for, but comes out.
    fn threshold(&self) -> Option<threshold::Rule> {
        None
    }
    /// A pull towards 0 that is added to the gradient of a layer of this density.
    fn pull(&self, density: f64) -> Option<Pull> {
        let _ = density;
        None
    }
}

/// The sparsity of masks that are made anew at every step, where they are recorded: every so often, from the first
/// step on, and at the last one.
fn recorded_at(schedule: &PruneSchedule, target: f64, step: u64, length: Length) -> Option<f64> {
    let every = schedule.every.period(length.steps, length.steps_per_epoch);
    (step.is_multiple_of(every) || step + 1 == length.steps).then_some(target)
}

/// The setting `pooling`: what stands for a block.
fn pooling(settings: &Settings) -> Result<Pooling> {
    match settings.text("pooling")? {
        "mean" => Ok(Pooling::Mean),
        "max" => Ok(Pooling::Max),
        other => Err(settings.locate("pooling", unknown("pooling", other, ["mean", "max"]))),
    }
}

/// Refuses a density at the start that the method does not have.
fn constant(recipe: &Sparsity, name: &str, how: &str, density: f64) -> Result<()> {
    if recipe.init.is_none_or(|init| (init - density).abs() <= 1e-9) {
        return Ok(());
    }
    let error = Error::usage(format!("method `{name}` {how}"));
    Err(recipe.settings.locate("init", error).hint("leave init out"))
}

/// Whether a method holds the zeros among the weights that it is given.
pub fn holds_zeros(method: &str) -> bool {
    ALL.iter().any(|entry| entry.name == method && matches!(entry.start, Start::Zeros))
}

/// The entry named by a recipe and its method.
///
/// # Errors
/// `Kind::Usage` for an unknown name or key, with the nearest known one.
pub fn resolve(recipe: &Sparsity) -> Result<(&'static Entry, Option<Box<dyn Method>>)> {
    let entry = find(recipe)?;
    let settings = settings(recipe, entry)?;
    Ok((entry, (entry.build)(recipe, &settings)?))
}

fn settings(recipe: &Sparsity, entry: &Entry) -> Result<Settings> {
    let all = recipe.settings.resolve(&format!("method `{}`", entry.name), &(entry.settings)())?;
    let unheeded = (entry.unheeded)(&all);
    all.without(&recipe.settings, &unheeded)
}

fn find(recipe: &Sparsity) -> Result<&'static Entry> {
    let known = || unknown("pruning method", &recipe.method, ALL.iter().map(|entry| entry.name));
    let found = ALL.iter().find(|entry| entry.name == recipe.method);
    found.ok_or_else(|| recipe.settings.locate("method", known()))
}
