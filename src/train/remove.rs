//! Filters that are pruned leave the run: it goes on with a network that is really smaller.
//!
//! Once no mask update is to come, the layers are built anew, narrower, and what is left of weights, slots and statistics
//! moves over. Which channels are left is state of the run: checkpoints hold it as `filters/conv1.weight`.

use std::collections::BTreeMap;

use super::checkpoint::Snapshot;
use super::passes::Passes;
use super::plans::Plans;
use super::session::Session;
use crate::error::{Error, Result};
use crate::nn::{Coupling, Extent, Model, presets};
use crate::optim::{Average, Optimizer};
use crate::param::{Channels, Like, Param, ParamId};
use crate::recipe::{self, Recipe};
use crate::sparsity::{filters, methods};
use crate::store::{Array, Arrays};

/// What the names of lists of channels begin with in files.
pub(super) const FILTERS: &str = "filters/";

/// The key of a checkpoint's state that says what is left of each width.
pub(super) const LEFT: &str = "left";

/// By the first weight of each width, its channels that are left, in rising order.
pub type Lists = BTreeMap<String, Vec<u32>>;

/// What is left of a width.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Left {
    /// The layers that compute it: the outputs of several are added up, or gate each other.
    pub layers: Vec<String>,
    pub kept: usize,
    pub total: usize,
}

/// What a run has lost of its network.
pub(super) struct Removed {
    lists: Lists,
    /// By parameter: its shape before.
    shapes: Vec<Vec<usize>>,
    pub(super) left: Vec<Left>,
}

/// What is left of each width where these channels are kept.
fn left(channels: &Channels, kept: &[bool], model: &Model) -> Vec<Left> {
    let layer = |&id: &ParamId| {
        let name = &model.params[id].name;
        name.rsplit_once('.').map_or(name.as_str(), |(layer, _)| layer).to_string()
    };
    // Filters of the first layer, those that never go included: several may go together.
    let width = |width: &crate::param::Width| {
        let (axes, all) = (channels.axes(width.filters[0]), model.params[width.filters[0]].matrix().rows);
        Left { layers: width.filters.iter().map(layer).collect(), kept: axes.rows_left(kept), total: all }
    };
    channels.widths.iter().map(width).collect()
}

/// The network of a model that was built from `recipe`, without the channels that are not kept.
fn narrowed(recipe: &Recipe, model: &Model, coupling: &Coupling, kept: &[bool]) -> Result<recipe::Model> {
    let network = presets::network(&recipe.model, &model.input, model.classes)?;
    Ok(recipe::Model::Network(model.without(&network, coupling, kept)))
}

fn unfit() -> Error {
    Error::checkpoint("the channels that are left are not those of this network")
        .at("some layer has other channels, or another number of them, than the checkpoint says")
        .hint("the recipe that these weights were trained with")
}

/// The lists of channels among a checkpoint's arrays; none where nothing was removed.
fn lists_of(arrays: &Arrays) -> Result<Lists> {
    let own = arrays.iter().filter_map(|(name, array)| Some((name.strip_prefix(FILTERS)?, array)));
    own.map(|(name, array)| Ok((name.to_string(), array.to_u32()?))).collect()
}

/// Whether the network of a checkpoint is smaller than that of its recipe.
pub(super) fn has_removed(arrays: &Arrays) -> bool {
    arrays.keys().any(|name| name.starts_with(FILTERS))
}

impl Session {
    /// Removes what is pruned from the network, if no mask update is to come and that is not done yet. Returns what is
    /// left.
    ///
    /// # Errors
    /// `Kind::Memory` where the device has no room.
    pub fn remove_pruned(&mut self) -> Result<Option<Vec<Left>>> {
        let Some(channels) = self.pruner.as_ref().and_then(|pruner| pruner.removable(self.step)) else {
            return Ok(None);
        };
        let kept = channels.kept_by(|id| self.model.params[id].read_mask().map(Some))?;
        let lists = channels.lists(&kept, &self.model.params);
        let found = left(channels, &kept, &self.model);
        self.narrow(&kept, lists, found.clone())?;
        Ok(Some(found))
    }

    /// Removes what a checkpoint has removed.
    ///
    /// # Errors
    /// `Kind::Checkpoint` where that is not of this network, or less than the session has removed.
    pub(super) fn narrow_as(&mut self, arrays: &Arrays) -> Result<()> {
        let lists = lists_of(arrays)?;
        match &self.removed {
            None if lists.is_empty() => Ok(()),
            None => {
                let filters = self.pruner.as_ref().and_then(|pruner| pruner.filters()).ok_or_else(unfit)?;
                let channels = filters.channels();
                let kept = channels.kept_in(&lists, &self.model.params).ok_or_else(unfit)?;
                let found = left(channels, &kept, &self.model);
                self.narrow(&kept, lists, found)
            }
            Some(removed) if removed.lists == lists => Ok(()),
            Some(_) => {
                Err(Error::checkpoint("this run has already removed filters that the checkpoint still has")
                    .hint("a session of its own for each checkpoint"))
            }
        }
    }

    fn narrow(&mut self, kept: &[bool], lists: Lists, left: Vec<Left>) -> Result<()> {
        let coupling = self.model.coupling();
        let small = narrowed(&self.recipe, &self.model, &coupling, kept)?;
        let (input, classes) = (self.model.input.clone(), self.model.classes);
        let mut model = Model::new(&small, input, classes, self.recipe.run.seed)?;
        self.recipe.loss.outputs.as_ref().map_or(Ok(()), |outputs| model.weigh(outputs))?;
        let mut slots = Vec::new();
        for (id, param) in self.model.params.pairs() {
            let axes = coupling.channels.axes(id);
            let own = |values: Vec<f32>| axes.gather(&values, kept);
            model.params[id].begin_with(own(param.read()?));
            slots.push(param.slots().map(|slot| slot.read_f32().map(own)).collect::<Result<Vec<_>>>()?);
        }
        let shapes = self.model.params.iter().map(|param| param.shape.clone()).collect();
        // Its memory first.
        self.plans = Plans::none(&self.gpu)?;
        self.passes = Passes::none();
        self.pruner.iter_mut().for_each(|pruner| pruner.settle_removed());
        self.model = model;
        let params = &mut self.model.params;
        params.iter_mut().try_for_each(|param| param.allocate(&self.gpu))?;
        self.optimizer = Optimizer::new(&self.gpu, &self.recipe.optim, params)?;
        let average = self.recipe.optim.ema.map(|decay| Average::new(&self.gpu, decay, params));
        self.average = average.transpose()?;
        for (param, slots) in params.iter_mut().zip(slots) {
            let own = param.companions.iter_mut().filter(|own| own.like == Like::Values);
            own.zip(slots).try_for_each(|(slot, values)| slot.write(&values))?;
        }
        self.removed = Some(Removed { lists, shapes, left });
        if let Some(phase) = self.phase {
            self.freeze(phase);
        }
        self.record()
    }

    /// The shape of a parameter with all that was removed of it.
    pub(super) fn whole_shape(&self, id: ParamId) -> &[usize] {
        self.removed.as_ref().map_or(&self.model.params[id].shape, |removed| &removed.shapes[id.0])
    }
    /// Whether the network is smaller than the recipe's.
    pub fn is_narrowed(&self) -> bool {
        self.removed.is_some()
    }
    /// Adds the lists of channels that are left, where some are not.
    pub(super) fn insert_lists(&self, arrays: &mut Arrays) {
        for (name, list) in self.removed.iter().flat_map(|removed| &removed.lists) {
            arrays.insert(format!("{FILTERS}{name}"), Array::u32(vec![list.len()], list));
        }
    }
}

impl Snapshot {
    /// What is left of each width, once pruned filters were removed; nothing before.
    pub fn left(&self) -> Vec<Left> {
        serde_json::from_value(self.state[LEFT].clone()).unwrap_or_default()
    }
}

/// A network without its pruned filters.
pub struct Compact {
    /// That of the run, with a smaller network and nothing to prune.
    pub recipe: Recipe,
    /// Weights, biases and statistics, as PyTorch has them.
    pub weights: Arrays,
    pub left: Vec<Left>,
}

/// The recipe of the network that a checkpoint holds, with samples of this extent: that of its run, unless filters were
/// removed.
///
/// # Errors
/// `Kind::Checkpoint` where the channels that are left are not of the recipe's network.
pub fn remaining(recipe: &Recipe, snapshot: &Snapshot, input: &Extent, classes: usize) -> Result<Recipe> {
    let lists = lists_of(&snapshot.arrays)?;
    if lists.is_empty() {
        return Ok(recipe.clone());
    }
    let model = Model::new(&recipe.model, input.clone(), classes, recipe.run.seed)?;
    let coupling = model.coupling();
    let own = open(&coupling.channels, &lists, &model);
    let kept = own.kept_in(&lists, &model.params).ok_or_else(unfit)?;
    Ok(Recipe { model: narrowed(recipe, &model, &coupling, &kept)?, ..recipe.clone() })
}

/// The model that a run ends with, as wide as it will be, where it is to remove filters.
///
/// # Errors
/// As those of a run's start.
pub(super) fn planned(recipe: &Recipe, model: &Model) -> Result<Option<Model>> {
    if recipe.sparsity.pattern != recipe::Structure::Filter || !recipe.sparsity.filters.remove {
        return Ok(None);
    }
    let sparsity = methods::complete(&recipe.sparsity)?;
    let coupling = model.coupling();
    let kept = filters::planned(&sparsity, &coupling.channels, &model.params)?;
    let small = narrowed(recipe, model, &coupling, &kept)?;
    Model::new(&small, model.input.clone(), model.classes, recipe.run.seed).map(Some)
}

/// The widths that lists are of: rules may keep others.
fn open(channels: &Channels, lists: &Lists, model: &Model) -> Channels {
    channels.only(|width| lists.contains_key(channels.name(width, &model.params)))
}

/// The network of a checkpoint without its pruned filters, whether they were removed or are masked.
///
/// # Errors
/// `Kind::Usage` where the run does not prune filters; `Kind::Checkpoint` where the checkpoint is not of the recipe's
/// network.
pub fn compact(recipe: &Recipe, snapshot: &Snapshot, input: &Extent, classes: usize) -> Result<Compact> {
    let mut stages = (0..recipe.stage_count()).map(|number| recipe.stage(number).sparsity);
    if stages.all(|sparsity| sparsity.pattern != recipe::Structure::Filter) {
        return Err(Error::usage("the run prunes no filters: there is nothing to make smaller")
            .at(format!("pattern = \"{}\"", recipe.sparsity.pattern))
            .hint("leave --compact out; pattern = \"filter\" prunes whole filters"));
    }
    let model = Model::new(&recipe.model, input.clone(), classes, recipe.run.seed)?;
    let coupling = model.coupling();
    let (dense, lists) = (snapshot.dense()?, lists_of(&snapshot.arrays)?);
    let (channels, kept) = if lists.is_empty() {
        // What lies in files as people have it has masks that do, too; those of rows alone are asked for.
        let kept = coupling.channels.kept_by(|id| mask_of(&dense, &model.params[id]))?;
        (coupling.channels.clone(), kept)
    } else {
        let own = open(&coupling.channels, &lists, &model);
        let kept = own.kept_in(&lists, &model.params).ok_or_else(unfit)?;
        (own, kept)
    };
    let mut weights = Arrays::new();
    for (id, param) in model.params.pairs() {
        let array = dense.get(&param.name).ok_or_else(unfit)?;
        let array = super::layout::param_from_torch(&param.name, array);
        let whole = lists.is_empty() && array.shape == param.shape;
        let small = match whole {
            true => shrunk(&channels, id, param, &array, &kept),
            false => array,
        };
        weights.insert(param.name.clone(), super::layout::param_to_torch(&param.name, &small));
    }
    // What is left is not pruned again, in no stage.
    let unpruned = |stage: &recipe::Stage| recipe::Stage { sparsity: None, ..stage.clone() };
    let small = Recipe {
        model: narrowed(recipe, &model, &coupling, &kept)?,
        sparsity: recipe::Sparsity::none(),
        stages: recipe.stages.iter().map(unpruned).collect(),
        ..recipe.clone()
    };
    let built = Model::new(&small.model, input.clone(), classes, recipe.run.seed)?;
    let fits = |param: &Param| weights[&param.name].shape == super::layout::shape_of(param);
    if !built.params.iter().all(fits) {
        return Err(unfit());
    }
    Ok(Compact { recipe: small, weights, left: left(&channels, &kept, &model) })
}

/// What is left of a parameter's values.
fn shrunk(channels: &Channels, id: ParamId, param: &Param, array: &Array, kept: &[bool]) -> Array {
    let axes = channels.axes(id);
    let values = axes.gather(&array.to_f32(), kept);
    let rows = axes.rows_left(kept);
    let taps = param.matrix().taps;
    let shape = match *param.shape {
        [_] => vec![rows],
        [_, ref kernel @ .., _] => [&[rows][..], kernel, &[values.len() / (rows * taps).max(1)]].concat(),
        [] => Vec::new(),
    };
    Array::f32(shape, &values)
}

/// The mask of a weight, as it lies on the device; `None` where it has none.
fn mask_of(dense: &Arrays, param: &Param) -> Result<Option<Vec<u32>>> {
    let Some(bits) = dense.get(&format!("{}.mask", param.name)) else { return Ok(None) };
    let words = bits.to_u32()?;
    if words.len() != param.len().div_ceil(32) {
        return Err(unfit());
    }
    let flags: Vec<u8> = (0..param.len()).map(|i| (words[i / 32] >> (i % 32) & 1) as u8).collect();
    let shape = super::layout::torch_shape(&param.shape);
    let flags = super::layout::from_torch(&Array::u8(shape, &flags));
    let kept: Vec<u32> = (0..).zip(&flags.bytes).filter(|(_, flag)| **flag == 1).map(|(i, _)| i).collect();
    Ok(Some(crate::param::mask_of(&kept, param.len())))
}
