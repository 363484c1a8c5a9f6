//! What parts of a recipe ask for that does not go together.

use super::session::Session;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::nn::Model;
use crate::param::{Param, THRESHOLD};
use crate::recipe::{Precision, Recipe, Scale, Sparsity, Structure};
use crate::sparsity::{Pruner, methods};

/// What does not go with the network or the data.
pub(super) fn of_model(recipe: &Recipe, model: &Model, data: &Dataset) -> Result<()> {
    if recipe.finish.recalibrate > 0 && model.params.iter().all(|param| param.learns()) {
        return Err(Error::usage("`finish.recalibrate` is for networks with running statistics")
            .at(format!("finish.recalibrate = {}", recipe.finish.recalibrate))
            .hint("a `batch_norm` layer, or leave it out"));
    }
    let mixes = recipe.augment.mixup > 0.0;
    let refuse = |what: &str, advice: &str| {
        Err(Error::usage(what).at(format!("augment.mixup = {}", recipe.augment.mixup)).hint(advice))
    };
    if mixes && data.train.tokens().is_some() {
        return refuse(
            "tokens cannot be mixed: mixup is for pictures and other numbers",
            "augment.mixup = 0",
        );
    }
    if mixes && model.reads_plain() {
        return refuse(
            "a network that reads `data.plain` has a label a sample, and mixup gives it two",
            "augment.mixup = 0",
        );
    }
    if recipe.run.patience.is_some() && data.validation.is_empty() {
        return Err(Error::usage("`patience` waits for the validation loss, and nothing is held out")
            .hint("data.validation = 0.1, or patience = \"off\""));
    }
    of_shrinking(recipe)?;
    if !distills(recipe) {
        return Ok(());
    }
    if mixes {
        let what = "distillation has targets for samples as they are, and mixup makes others of them";
        return refuse(what, "augment.mixup = 0, or no [distill]");
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

/// What does not go with several stages. `zeros` says whether some weights are 0 before the first step.
pub(super) fn of_stages(recipe: &Recipe, zeros: bool) -> Result<()> {
    if distills(recipe) {
        return Err(Error::usage("distillation is for runs of one stage")
            .at("it remembers what the network said of each sample, and a stage begins with weights alone")
            .hint("no [distill], or no [[stage]]"));
    }
    if recipe.shrink.is_on() {
        return Err(Error::usage("[shrink] has phases of its own, and does not go with stages")
            .at(format!("the recipe has {} stages", recipe.stage_count()))
            .hint("no [[stage]], or no [shrink]"));
    }
    for number in 0..recipe.stage_count() - 1 {
        let Sparsity { pattern, filters, .. } = recipe.stage(number).sparsity;
        if pattern == Structure::Filter && filters.remove {
            return Err(Error::usage("filters are removed in the last stage alone")
                .at(format!("stage {} prunes filters, and stages come after it", number + 1))
                .hint("sparsity.remove = false, and method \"held\" in the stages after it"));
        }
    }
    for number in 1..recipe.stage_count() {
        let holds = methods::holds_zeros(&recipe.stage(number).sparsity.method);
        let pruned = (0..number).any(|before| recipe.stage(before).sparsity.method != "none");
        if holds && !pruned && !zeros {
            return Err(Error::usage("there are no zeros for method `held` to hold")
                .at(format!("stage {}: no stage before it prunes, and no weight begins as 0", number + 1))
                .hint("a method in a stage before it, or --init FILE with the weights of a pruned network"));
        }
    }
    Ok(())
}

/// What does not go with a stage after the first.
pub(super) fn of_later(run: &Session) -> Result<()> {
    if run.rewinds_to() == Some(0) {
        return Err(Error::usage(format!("method `{}` goes back to step 0", run.recipe.sparsity.method))
            .at("a stage after the first begins with weights that no seed gives, and keeps none of them")
            .hint("sparsity.rewind = \"1\", or a later step, whose weights are kept"));
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
        (recipe.run.patience.is_some(), "[shrink] has phases of a fixed length", "run.patience = \"off\""),
        (recipe.run.accumulate > 1, "[shrink] adds up the gradients of subnets", "run.accumulate = 1"),
        (recipe.optim.ema.is_some(), "[shrink] keeps no averages of weights", "optim.ema = \"off\""),
        (recipe.augment.mixup > 0.0, "[shrink] has soft targets of a teacher", "augment.mixup = 0"),
        (recipe.run.activations != Precision::F32, "[shrink] is for f32", "run.activations = \"f32\""),
        (
            recipe.finish.recalibrate == 0,
            "no running statistic follows the weights where subnets train",
            "finish.recalibrate = 20: batches that they are computed anew over",
        ),
    ];
    let found = others.into_iter().find(|(does_not_go, ..)| *does_not_go);
    let phases: Vec<_> = recipe.shrink.phases.iter().map(|vary| vary.name()).collect();
    let at = format!("shrink.phases: {}", phases.join(", "));
    found.map_or(Ok(()), |(_, what, hint)| Err(Error::usage(what).at(at).hint(hint)))
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

/// What does not go with the weights of a file.
pub(super) fn of_initial(recipe: &Recipe) -> Result<()> {
    if recipe.sparsity.scale == Scale::Dense {
        return Ok(());
    }
    let error = Error::usage("the weights of a file are not scaled to the inputs that are kept")
        .at(format!("sparsity.scale = \"{}\", and --init", recipe.sparsity.scale.name()));
    Err(recipe.sparsity.settings.locate("scale", error).hint("sparsity.scale = \"dense\""))
}

fn distills(recipe: &Recipe) -> bool {
    recipe.distill.method != "none"
}
