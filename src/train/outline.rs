//! What a recipe makes of a data set, before anything has memory: the network, the length of a run, the products to measure.

use super::aside;
use super::feed;
use super::folder::Facts;
use super::initial::Initial;
use super::remove;
use super::session::Session;
use super::shrinking;
use crate::data::{self, Dataset, Vocabulary};
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::nn::presets::pair;
use crate::nn::{Extent, Model};
use crate::ops::measure::Weight;
use crate::ops::packed::crossover::Products;
use crate::ops::variants::Shape;
use crate::recipe::{Precision, Recipe, Storage};
use crate::shrink;
use crate::sparsity::{self, Length, Outline, methods};

/// Columns of a batch: whole vec4s, or as many as bf16 copies are made of at once.
pub(super) fn columns(recipe: &Recipe, data: &Dataset) -> usize {
    let together = if is_narrow(recipe) { 8 } else { 4 };
    (recipe.run.batch as usize).min(data.train.len()).next_multiple_of(together)
}

/// The model of a recipe before it has memory.
pub(super) fn model(recipe: &Recipe, data: &Dataset, initial: Option<&Initial>) -> Result<Model> {
    let recipe = &fitted(recipe, data);
    let mut model = Model::new(&recipe.model, extent(data), data.classes, recipe.run.seed)?;
    check_answers(recipe, &model, data)?;
    aside::check_carried(&model, data)?;
    initial.map_or(Ok(()), |initial| initial.hand_out(&mut model.params))?;
    sparsity::rules::allow(&recipe.sparsity.rules, &mut model.params);
    // They are in no file of weights, and begin as the identity.
    if let Some(space) = shrinking::space(recipe)? {
        shrink::declare(&space, &mut model.params);
    }
    Ok(model)
}

/// A recipe with what its model leaves to the data.
pub fn fitted(recipe: &Recipe, data: &Dataset) -> Recipe {
    match data.train.tokens().filter(|tokens| !tokens.is_text()) {
        Some(pairs) => Recipe { model: pair::with_source(&recipe.model, pairs.skips), ..recipe.clone() },
        None => recipe.clone(),
    }
}

/// How long a run of one stage is.
pub fn length(recipe: &Recipe, data: &Dataset) -> Length {
    let batches = feed::batches(&data.train, recipe.run.batch as usize) as u64;
    let steps_per_epoch = batches.div_ceil(u64::from(recipe.run.accumulate));
    planned(recipe, Length { steps: 0, steps_per_epoch })
}

/// As long as the recipe of a stage says, with epochs like those of another.
pub(super) fn planned(recipe: &Recipe, Length { steps_per_epoch, .. }: Length) -> Length {
    let by_epochs = steps_per_epoch * u64::from(recipe.run.epochs);
    Length { steps: recipe.run.steps.map_or(by_epochs, u64::from), steps_per_epoch }
}

/// That of a data set's samples.
pub fn extent(data: &Dataset) -> Extent {
    extent_of(&data.shape, data.vocabulary())
}

/// That of samples of a shape, which are tokens where there is a vocabulary.
pub(super) fn extent_of(shape: &[usize], vocabulary: Option<usize>) -> Extent {
    match vocabulary {
        Some(vocabulary) => Extent::tokens(vocabulary, shape.iter().product()),
        None => Extent::of_samples(shape),
    }
}

/// The tokens that the network of a run knows, as other data is to be read for it; `None` where tokens have no names, or
/// samples are none.
///
/// # Errors
/// Those of building the network.
pub fn vocabulary(recipe: &Recipe, facts: &Facts) -> Result<Option<Vocabulary>> {
    if facts.class_names.is_empty() || !data::is_of_tokens(&recipe.data.name) {
        return Ok(None);
    }
    let pair = match data::is_of_pairs(&recipe.data.name) {
        true => {
            let model = Model::new(&recipe.model, facts.tokens(), facts.classes, recipe.run.seed)?;
            let targets = model.answers();
            Some([facts.shape.iter().product::<usize>().saturating_sub(targets), targets])
        }
        false => None,
    };
    Ok(Some(Vocabulary { names: facts.class_names.clone(), pair }))
}

/// A network answers as often as it is asked.
fn check_answers(recipe: &Recipe, model: &Model, data: &Dataset) -> Result<()> {
    let (answers, labels) = (model.answers(), data.labels());
    if answers == labels {
        return Ok(());
    }
    let per = |n: usize| if n == 1 { "once".to_string() } else { format!("{n} times") };
    let error = Error::usage(format!(
        "the network answers {} a sample, and the data asks {}",
        per(answers),
        per(labels)
    ));
    if let (Some(_), Some(pairs)) = (pair::source(&recipe.model), data.train.tokens()) {
        let hint = format!("{} = {}, or leave it out: the data says it", pair::PATH, pairs.skips);
        return Err(error.hint(hint));
    }
    Err(error.hint(match labels {
        1 => "a layer that makes one of all steps before the last `linear`, such as `global_average_pool`",
        _ => "a last layer that has as many steps as the data has labels",
    }))
}

pub(super) fn is_narrow(recipe: &Recipe) -> bool {
    recipe.run.activations == Precision::Bf16
}

impl Session {
    /// The shapes of the dense products of this recipe, for measuring variants before building it.
    pub fn products(gpu: &Gpu, recipe: &Recipe, data: &Dataset) -> Result<Vec<Shape>> {
        let mut model = model(recipe, data, None)?;
        // Where a weight is cut into segments is known once it has memory.
        let counted = Gpu::counted_with(gpu.limits());
        model.params.iter_mut().try_for_each(|param| param.allocate(&counted))?;
        let mut all = model.products(columns(recipe, data));
        if let Some(mut small) = remove::planned(recipe, &model)? {
            small.params.iter_mut().try_for_each(|param| param.allocate(&counted))?;
            all.extend(small.products(columns(recipe, data)));
        }
        Ok(all)
    }

    /// The weights of this recipe that may be packed, for measuring kernels before building it.
    pub fn prospects(recipe: &Recipe, data: &Dataset, initial: Option<&Initial>) -> Result<Vec<Weight>> {
        let model = model(recipe, data, initial)?;
        let (params, cols) = (&model.params, columns(recipe, data));
        if recipe.sparsity.storage == Storage::Masked || recipe.sparsity.latent {
            return Ok(Vec::new());
        }
        let sparsity = methods::complete(&recipe.sparsity)?;
        let prospect = |Outline { param, form, densities, dense_grad }: Outline| {
            let (shape, feeds_back) = (params[param].product(cols), params[param].feeds_back);
            let narrow = params[param].is_narrow(is_narrow(recipe));
            let products = Products { form, shape, narrow, feeds_back, dense_grad };
            Weight { products, densities, choose: sparsity.storage == Storage::Auto }
        };
        Ok(sparsity::outline(&sparsity, length(recipe, data), params)?.into_iter().map(prospect).collect())
    }
}
