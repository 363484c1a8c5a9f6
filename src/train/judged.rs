//! The network of a run by itself, to be judged or taken elsewhere.

use super::checkpoint::Snapshot;
use super::remove::remaining;
use crate::error::Result;
use crate::nn::Extent;
use crate::recipe::{Distill, Recipe, Sparsity, Unfreeze};

/// The recipe of the network that a run ends with, or that a checkpoint of it holds, and of nothing else: what answers is the
/// output of the last stage, pruned weights are zeros in place, and no state of training is asked for.
///
/// # Errors
/// Those of [`remaining`].
pub fn judged(
    recipe: &Recipe,
    snapshot: Option<&Snapshot>,
    input: &Extent,
    classes: usize,
) -> Result<Recipe> {
    let mut recipe = recipe.last_stage();
    recipe.run.patience = None;
    if let Some(snapshot) = snapshot {
        recipe = remaining(&recipe, snapshot, input, classes)?;
    }
    recipe.sparsity = Sparsity::none();
    recipe.distill = Distill::none();
    recipe.unfreeze = Unfreeze::default();
    recipe.optim.ema = None;
    Ok(recipe)
}
