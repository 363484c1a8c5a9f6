//! Before step 0: what is pruned, how it is stored, and the masks of the start.

use super::budget::{self, Budget};
use super::methods::{Entry, Method, Sizes, Start};
use super::pruner::{Pruner, Updater};
use super::rules;
use super::update::flowing::Flowing;
use super::update::growth::By;
use super::update::prune::Criterion;
use super::update::soft::Soft;
use super::{Length, Stage, diagonal, filters, first_dense, start};
use crate::error::{Error, Kind, Result};
use crate::gpu::Gpu;
use crate::ops::packed::Form;
use crate::ops::packed::crossover::Products;
use crate::ops::packed::variants::Case;
use crate::ops::variants::{Choices, Shape};
use crate::param::{BACKWARD_SET, Channels, Chunk, EVER, Like, MEAN, MaskMode, Param, ParamId, ParamSet};
use crate::recipe::{Curve, KeepDense, Rule, Sparsity, Storage, Structure};

/// What a network is pruned for, besides its recipe.
pub struct Setting<'a> {
    pub seed: u64,
    pub length: Length,
    /// Measured choices of kernels, with the densities from which packed storage is faster.
    pub choices: &'a Choices,
    /// Columns of a batch.
    pub cols: usize,
    /// Whether packed products read bf16.
    pub narrow: bool,
    /// What hangs together, where filters are pruned.
    pub channels: Option<&'a Channels>,
}

impl Setting<'_> {
    /// How packed rows of a weight of this shape are split.
    fn chunk(&self, shape: Shape) -> Chunk {
        let (choices, narrow) = (self.choices.only(&[shape]), self.narrow && shape.steps.is_none());
        Box::new(move |pattern| Case::of(pattern, shape, narrow).chunk(&choices))
    }
}

/// Gives memory to all parameters: dense, masked or packed, as `recipe` asks for, with the masks of the start.
///
/// # Errors
/// `Kind::Usage` for an unknown method, a rule that matches nothing, a schedule that does not fit the run, or
/// a target that cannot be met: before step 0.
pub fn prepare(
    gpu: &Gpu,
    recipe: &Sparsity,
    setting: &Setting,
    params: &mut ParamSet,
) -> Result<Option<Pruner>> {
    if let Some(param) = params.iter().find(|param| param.len() > u32::MAX as usize) {
        return Err(Error::new(Kind::Memory, format!("`{}` has 2^32 elements or more", param.name))
            .at(format!("shape {:?}", param.shape))
            .hint("narrower layers"));
    }
    let (recipe, entry, method) = first_dense::resolve(recipe, params)?;
    let recipe = &recipe;
    start::check(recipe, entry, std::iter::empty())?;
    let Some(mut method) = method else {
        params.iter_mut().try_for_each(|param| param.allocate(gpu))?;
        return Ok(None);
    };
    let length = setting.length;
    if method.frozen_from(length).is_some_and(|from| from >= length.steps) {
        return Err(Error::usage("masks would freeze after the last step")
            .at(format!("finetune is less than a step of a run of {}", length.steps))
            .hint("a larger share, such as finetune = 0.1, or freeze = false"));
    }
    if entry.order.contains(&Stage::Masks) {
        recipe.schedule.check(length.steps, length.steps_per_epoch)?;
    }
    if recipe.pattern == Structure::Filter {
        return filters::prepare(gpu, recipe, setting, params, entry, method).map(Some);
    }
    let (maskable, budget) = budget_of(recipe, &*method, params)?;
    for (&i, tensor) in maskable.iter().zip(budget.tensors()) {
        (params[i].form, params[i].alike) = (tensor.form, rules::alike(&tensor.name, &recipe.rules));
        check_form(recipe, entry, &*method, tensor)?;
        diagonal::mark(recipe, entry, &*method, &mut params[i])?;
    }
    // The first and the last target: in between, the sparsity is monotone.
    budget.keeps(recipe.initial(), |target| target.min(recipe.initial()))?;
    let keeps = budget.keeps(recipe.target(), |target| target)?;
    let group_members =
        |group: &budget::Group| group.members.iter().map(|&member| maskable[member]).collect::<Vec<_>>();
    let members: Vec<Vec<ParamId>> = budget.groups.iter().map(group_members).collect();
    diagonal::check(&recipe.rules, &members, &keeps, params)?;
    if entry.start == Start::Random && members.iter().any(|group| group.len() > 1) {
        return Err(Error::usage(format!("method `{}` needs a number for each layer", entry.name))
            .at("distribution = \"global\" has one for all")
            .hint("distribution = \"erk\" or \"uniform\""));
    }
    for &i in members.iter().flatten() {
        params[i].storage = crate::param::Storage::Masked(method.mask_mode());
        params[i].chunk = setting.chunk(params[i].product(setting.cols));
        check_flow(entry, &*method, &params[i])?;
        check_blocks(recipe, &params[i])?;
    }
    check_storage(recipe, entry, &*method, length)?;
    start::check(recipe, entry, members.iter().flatten().map(|&i| &params[i]))?;
    let limit = |param: &Param| match recipe.storage {
        _ if !param.is_masked() || !is_packable(&*method, length) || !param.form.is_packable() => 0.0,
        _ if !param.is_multiplied || diagonal::stays_masked(&*method, param) => 0.0,
        // Their lists have rows in 24 bits.
        _ if matches!(param.form, Form::Groups { .. }) && param.matrix().rows >= 1 << 24 => 0.0,
        Storage::Masked => 0.0,
        Storage::Packed => 1.0,
        Storage::Auto => {
            let (form, shape) = (param.packed_form(), param.product(setting.cols));
            let narrow = param.is_narrow(setting.narrow);
            let (feeds_back, dense_grad) = (param.feeds_back, method.mean().is_some());
            Products { form, shape, narrow, feeds_back, dense_grad }.known(setting.choices)
        }
    };
    let packed_below = params.iter().map(limit).collect();
    let prunable: usize = budget.groups.iter().map(|group| group.len).sum();
    let dense = budget.total() - prunable;
    method.size(Sizes { prunable, keep: keeps.iter().sum(), dense }, length)?;
    let mut density = vec![1.0; params.len()];
    for ((group, members), keep) in budget.groups.iter().zip(&members).zip(&keeps) {
        members.iter().for_each(|&i| density[i.0] = *keep as f64 / group.len.max(1) as f64);
    }
    let mut pruner = Pruner {
        entry,
        method,
        length,
        seed: setting.seed,
        start_density: Vec::new(),
        density,
        patterns: Vec::new(),
        names: params.iter().map(|param| param.name.clone()).collect(),
        target: recipe.target(),
        initial: recipe.initial(),
        packed_below,
        most_packed: gpu.limits().binding_bytes as usize / 4,
        dense,
        members,
        budget,
        filters: None,
        flowing: None,
        soft: None,
        updater: Updater::Never,
        backward_set: None,
        permutation: None,
        permuted: false,
    };
    pruner.check_turns(recipe)?;
    let starts = pruner.starts(recipe, &keeps)?;
    for (i, param) in params.iter_mut().enumerate() {
        pruner.patterns.push(match param.form {
            Form::Groups { keep, of } if param.is_masked() => Some((keep, of)),
            _ => None,
        });
        pruner.start_density.push(starts[i].map_or(1.0, |keep| keep as f64 / param.len().max(1) as f64));
        match starts[i] {
            Some(keep) => pruner.start(gpu, recipe, ParamId(i), keep, param)?,
            None => param.allocate(gpu)?,
        }
        if !param.is_masked() {
            continue;
        }
        if pruner.method.backward_set().is_some() {
            param.accompany_by_ones(gpu, BACKWARD_SET)?;
        }
        if pruner.method.mean().is_some() {
            param.accompany(gpu, MEAN, Like::Dense)?;
        }
        if pruner.method.growth().is_some_and(|growth| growth.by == By::RandomUnfired) {
            param.accompany(gpu, EVER, Like::Mask)?;
        }
    }
    pruner.flowing = Flowing::new(gpu, params)?;
    pruner.soft = pruner.method.threshold().map(|rule| Soft::new(gpu, rule, params)).transpose()?;
    Ok(Some(pruner))
}

/// The kind of `keep_dense` that leaves a parameter dense, unless a rule names it.
pub fn kept_dense(recipe: &Sparsity, params: &ParamSet, id: ParamId) -> Option<KeepDense> {
    let window = params[id].window?;
    let is_convolution = |&other: &ParamId| params[other].prunable && params[other].window.is_some();
    let is_first = params.ids().find(is_convolution) == Some(id);
    let is_depthwise = window.groups > 1 && params[id].matrix().channels == 1;
    recipe.keep_dense.iter().copied().find(|kind| match kind {
        KeepDense::FirstConvolution => is_first,
        KeepDense::Depthwise => is_depthwise,
    })
}

/// The parameters that can be pruned, and their budget.
pub(super) fn budget_of(
    recipe: &Sparsity,
    method: &dyn Method,
    params: &ParamSet,
) -> Result<(Vec<ParamId>, Budget)> {
    let maskable: Vec<ParamId> = params.ids().filter(|&i| params[i].prunable).collect();
    // Before all others, which win.
    let is_kept = |i: &&ParamId| kept_dense(recipe, params, **i).is_some();
    let kept = maskable.iter().filter(is_kept).map(|&i| Rule::dense(&params[i].name));
    let mut rules: Vec<Rule> = kept.chain(recipe.rules.iter().cloned()).collect();
    let tensor = |&i: &ParamId| -> Result<budget::Tensor> {
        let (name, shape) = (&params[i].name, &params[i].shape);
        let form = rules::form(name, params[i].matrix(), recipe.pattern, &rules)?;
        Ok(budget::Tensor { name: name.clone(), shape: shape.clone(), form })
    };
    let tensors = maskable.iter().map(tensor).collect::<Result<Vec<_>>>()?;
    for tensor in tensors.iter().filter(|tensor| method.skips(tensor.matrix())) {
        rules.push(Rule::dense(&tensor.name));
    }
    let budget = Budget::new(tensors, recipe.spread(), &rules)?.with_least(recipe.min_density);
    Ok((maskable, budget))
}

/// The search compares all inputs of a group with all of another.
const LARGEST_SEARCHED: usize = 256;

/// Refuses a form that the method cannot keep.
fn check_form(recipe: &Sparsity, entry: &Entry, method: &dyn Method, tensor: &budget::Tensor) -> Result<()> {
    let (rows, inner) = (tensor.matrix().rows, tensor.matrix().inner());
    let strict = recipe.strict && !method.skips(tensor.matrix());
    if strict && !tensor.form.divides(rows, inner) {
        return Err(Error::usage(format!("`{}` does not divide into blocks of {}", tensor.name, tensor.form.name()))
            .at(format!("{rows} outputs and {inner} inputs; strict = true"))
            .hint("another pattern for this layer by a [[sparsity.rule]], or strict = false: the last blocks of a row and of a column are then smaller"));
    }
    if let Form::Groups { of, .. } = tensor.form
        && strict
        && !tensor.matrix().channels.is_multiple_of(of)
    {
        let inner = tensor.matrix().channels;
        return Err(Error::usage(format!("`{}` does not divide into groups of {of}", tensor.name))
            .at(format!("{inner} inputs; pattern = \"{}\", strict = true", tensor.form.name()))
            .hint("another pattern for this layer by a [[sparsity.rule]], or strict = false: the last group of a row is then shorter"));
    }
    if let Form::Groups { of, .. } = tensor.form
        && method.permutes().is_some()
        && of > LARGEST_SEARCHED
    {
        let what = format!("no order of inputs is searched for in groups of more than {LARGEST_SEARCHED}");
        return Err(Error::usage(what)
            .at(format!("layer {}, pattern = \"{}\"", tensor.name, tensor.form.name()))
            .hint("permute = false, or a smaller M"));
    }
    if method.mask_mode() == MaskMode::Flowing && method.threshold().is_none() {
        return Ok(()); // what they lack is known once it is clear which are pruned
    }
    let rises = recipe.schedule.kind != Curve::OneShot && entry.heeds_init;
    if matches!(tensor.form, Form::Groups { .. }) && rises {
        return Err(Error::usage(format!("an N:M pattern cannot be reached gradually by `{}`", entry.name))
            .at(format!("layer {}", tensor.name))
            .hint("method = \"oneshot\", or one of ste, sr-ste, mdgf and sdgf"));
    }
    if tensor.form != Form::Free && prunes_singles(method) {
        let form = tensor.form.name();
        return Err(Error::usage(format!("method `{}` cannot keep the pattern {form}", entry.name))
            .at(format!("layer {}", tensor.name))
            .hint(format!(
                "{}; or a method that prunes blocks and N:M: static, oneshot, snip, and gmp",
                match tensor.form {
                    Form::Parts { .. } => "a rule without alike",
                    _ => "pattern = \"free\"",
                }
            )));
    }
    Ok(())
}

/// Refuses a layer without an N:M pattern where masks flow.
fn check_flow(entry: &Entry, method: &dyn Method, param: &Param) -> Result<()> {
    if method.mask_mode() == MaskMode::Flowing
        && method.threshold().is_none()
        && !matches!(param.form, Form::Groups { .. })
    {
        let what = format!(
            "method `{}` keeps N of every M inputs; `{}` has no such pattern",
            entry.name, param.name
        );
        return Err(Error::usage(what)
            .at(format!("pattern = \"{}\"", param.form.name()))
            .hint("pattern = \"2:4\", for all layers or in a [[sparsity.rule]]; or dense = true there"));
    }
    Ok(())
}

/// Refuses packed storage of what cannot be packed.
fn check_storage(recipe: &Sparsity, entry: &Entry, method: &dyn Method, length: Length) -> Result<()> {
    let dense_parts = match method.mask_mode() {
        MaskMode::Flowing if method.frozen_from(length).is_none() => Some("trains pruned weights, too"),
        _ if method.backward_set().is_some() => Some("trains pruned weights, too"),
        MaskMode::Latent => Some("keeps the values of pruned weights"),
        _ => None,
    };
    if let Some(part) = dense_parts.filter(|_| recipe.storage == Storage::Packed) {
        return Err(Error::usage(format!("method `{}` {part}: its weights cannot be packed", entry.name))
            .at("storage = \"packed\"")
            .hint("storage = \"masked\" or \"auto\""));
    }
    Ok(())
}

/// Refuses packed storage of blocks that no packed product reads.
fn check_blocks(recipe: &Sparsity, param: &Param) -> Result<()> {
    if recipe.storage == Storage::Packed && !param.form.is_packable() {
        let (form, outputs) = (param.form.name(), param.matrix().rows);
        if let Form::Parts { number } = param.form {
            let what = format!("`{}` is pruned alike in {number} parts, which are not packed", param.name);
            return Err(Error::usage(what)
                .at("storage = \"packed\"")
                .hint("storage = \"auto\" or \"masked\""));
        }
        let (why, advice) = match param.form {
            Form::Tile { rows: rows @ (4 | 8), columns: 1 } => (
                format!("{outputs} outputs are no multiple of {rows}"),
                "a [[sparsity.rule]] that leaves it dense, or gives it another pattern",
            ),
            _ => (
                format!("there are no products over blocks of {form}"),
                "pattern = \"block:4x1\" or \"block:8x1\"",
            ),
        };
        return Err(Error::usage(format!("`{}` cannot be packed: {why}", param.name))
            .at(format!("pattern = \"block:{form}\", storage = \"packed\""))
            .hint(format!("storage = \"auto\" or \"masked\"; or {advice}")));
    }
    Ok(())
}

/// Whether a method knows no pattern: it chooses among single weights.
fn prunes_singles(method: &dyn Method) -> bool {
    let others = [method.rewind().is_some(), method.backward_set().is_some(), method.threshold().is_some()];
    method.growth().is_some()
        || matches!(method.criterion(), Criterion::Flow { .. })
        || others.contains(&true)
}

/// Whether weights that a method prunes can be stored packed.
pub(super) fn is_packable(method: &dyn Method, length: Length) -> bool {
    method.mask_mode() == MaskMode::Held || method.frozen_from(length).is_some()
}
