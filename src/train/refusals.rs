//! What parts of a recipe ask for that does not go together.

use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::nn::Model;
use crate::param::{Param, THRESHOLD};
use crate::recipe::{Precision, Recipe};
use crate::sparsity::Pruner;

/// What does not go with the network or the data.
pub(super) fn of_model(recipe: &Recipe, model: &Model, data: &Dataset) -> Result<()> {
    if recipe.finish.recalibrate > 0 && model.params.iter().all(|param| param.learns()) {
        return Err(Error::usage("`finish.recalibrate` is for networks with running statistics")
            .at(format!("finish.recalibrate = {}", recipe.finish.recalibrate))
            .hint("a `batch_norm` layer, or leave it out"));
    }
    of_shrinking(recipe)?;
    if !distills(recipe) {
        return Ok(());
    }
    let (heads, labels) = (model.heads().len(), data.labels());
    if heads > 1 {
        return Err(Error::usage(format!("distillation is for one output; the model has {heads}"))
            .hint("one [[model.output]], or no [distill]"));
    }
    if labels > 1 {
        return Err(Error::usage(format!("distillation is for one label a sample; the data has {labels}"))
            .hint("no [distill]"));
    }
    if recipe.loss.smoothing > 0.0 {
        return Err(Error::usage("distillation has soft targets of its own")
            .at(format!("loss.smoothing = {}", recipe.loss.smoothing))
            .hint("loss.smoothing = 0, or no [distill]"));
    }
    Ok(())
}

/// What does not go with progressive shrinking.
fn of_shrinking(recipe: &Recipe) -> Result<()> {
    if !recipe.shrink.is_on() {
        return Ok(());
    }
    let others = [
        (recipe.sparsity.method != "none", "[shrink] trains all weights", "sparsity.method = \"none\""),
        (distills(recipe), "[shrink] has a teacher of its own", "distill.method = \"none\""),
        (!recipe.unfreeze.groups.is_empty(), "[shrink] has phases of its own", "no [unfreeze]"),
        (recipe.run.activations != Precision::F32, "[shrink] is for f32", "run.activations = \"f32\""),
        (
            recipe.finish.recalibrate == 0,
            "no running statistic follows the weights where subnets train",
            "finish.recalibrate = 20: batches that they are computed anew over",
        ),
    ];
    let found = others.into_iter().find(|(does_not_go, ..)| *does_not_go);
    found.map_or(Ok(()), |(_, what, hint)| Err(Error::usage(what).hint(hint)))
}

/// What does not go with the pruning method; parameters have what it gives them.
pub(super) fn of_method(recipe: &Recipe, model: &Model, pruner: Option<&Pruner>) -> Result<()> {
    let method = &recipe.sparsity.method;
    if distills(recipe) && pruner.is_some_and(|pruner| pruner.looks() || pruner.rewind().is_some()) {
        return Err(Error::usage(format!(
            "method `{method}` looks at samples again, which distillation would remember"
        ))
        .hint("another method, or no [distill]"));
    }
    let learns = |param: &Param| !param.tensors(THRESHOLD).is_empty();
    if let (Some(clip), true) = (recipe.optim.clip, model.params.iter().any(learns)) {
        return Err(Error::usage(format!(
            "method `{method}` learns thresholds, whose gradients are not clipped"
        ))
        .at(format!("optim.clip = {clip}"))
        .hint("another method, or optim.clip = \"off\""));
    }
    Ok(())
}

fn distills(recipe: &Recipe) -> bool {
    recipe.distill.method != "none"
}
