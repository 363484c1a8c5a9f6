//! The pruning methods, each one file and one line of the list.

use toml::Value;

use super::{Length, Stage};
use crate::error::Result;
use crate::param::Flow;
use crate::recipe::{Settings, Sparsity, unknown};

mod gmp;
mod none;

/// A method in the list.
pub struct Entry {
    pub name: &'static str,
    pub about: &'static str,
    pub paper: &'static str,
    /// What happens within a step, in order.
    pub order: &'static [Stage],
    /// Settings of its own, with their defaults.
    pub settings: fn() -> Vec<(&'static str, Value)>,
    pub build: Build,
}

/// Makes a method from its recipe; `None` prunes nothing.
pub type Build = fn(&Sparsity, &Settings) -> Result<Option<Box<dyn Method>>>;

/// All methods.
pub const ALL: &[Entry] = &[none::ENTRY, gmp::ENTRY];

/// When masks are updated, and how sparse they then are.
pub trait Method {
    /// What happens to pruned weights.
    fn flow(&self) -> Flow;
    /// The whole network's sparsity, if masks are updated at `step`.
    fn due(&self, step: u64, length: Length) -> Option<f64>;
    /// The sparsity at `step` of a tensor whose final sparsity is `target`.
    fn sparsity(&self, step: u64, target: f64, length: Length) -> f64;
}

/// The entry named by a recipe and its method.
///
/// # Errors
/// `Kind::Usage` for an unknown name or key, with the nearest known one.
pub fn resolve(recipe: &Sparsity) -> Result<(&'static Entry, Option<Box<dyn Method>>)> {
    let entry = find(recipe)?;
    let settings = settings(recipe)?;
    Ok((entry, (entry.build)(recipe, &settings)?))
}

/// The settings of a recipe's method with every default filled in.
pub fn settings(recipe: &Sparsity) -> Result<Settings> {
    let entry = find(recipe)?;
    recipe.settings.resolve(&format!("method `{}`", entry.name), &(entry.settings)())
}

fn find(recipe: &Sparsity) -> Result<&'static Entry> {
    let known = || unknown("pruning method", &recipe.method, ALL.iter().map(|entry| entry.name));
    let found = ALL.iter().find(|entry| entry.name == recipe.method);
    found.ok_or_else(|| recipe.settings.locate("method", known()))
}
