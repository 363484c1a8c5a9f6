//! Pruning of whole filters: how many channels each width keeps, and the masks of the start.
//!
//! Of each width the same share goes, the nearest number of channels and never the last one: numbers that fall as the
//! sparsity rises, whatever the others have. A budget of the whole network would move single channels to and fro.

use super::budget::{self, Budget};
use super::draw;
use super::methods::{Entry, Method, Sizes, Start};
use super::prepare::Setting;
use super::pruner::{Pruner, Updater};
use super::rules;
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::ops::packed::Form;
use crate::param::{Channels, MaskMode, ParamId, ParamSet, Storage, Width};
use crate::recipe::{self, Distribution, FanIn, FilterScore, KeepDense, Rule, Scale, Sparsity, Structure};

/// What is pruned where filters are.
pub struct Filters {
    /// Those that may go: rules keep others.
    pub(super) channels: Channels,
    pub(super) score: FilterScore,
    /// The step from which on nothing changes any more, and what is pruned may be removed, if it is to be.
    pub(super) removed_from: Option<u64>,
    /// Whether it was.
    pub(super) removed: bool,
    /// Layers of which the target leaves every channel.
    pub(super) stuck: Vec<String>,
    /// Weights that may be pruned, of all layers; and those of layers that lose nothing.
    pub(super) weights: usize,
    pub(super) untouched: usize,
}

impl Pruner {
    /// What is pruned, where whole filters are.
    pub fn filters(&self) -> Option<&Filters> {
        self.filters.as_ref()
    }
    /// The channels that may go, where what is pruned is to be removed before `step` and is not yet.
    pub fn removable(&self, step: u64) -> Option<&Channels> {
        let own = self.filters.as_ref().filter(|own| !own.removed)?;
        own.removed_from.filter(|&from| from <= step).map(|_| &own.channels)
    }
    /// What is pruned is gone: there is nothing left to update.
    pub fn settle_removed(&mut self) {
        self.forget();
        self.filters.iter_mut().for_each(|own| own.removed = true);
    }
}

impl Filters {
    /// Layers that lose no filter though they may: too few of their channels can go by themselves.
    pub fn stuck(&self) -> &[String] {
        &self.stuck
    }
    /// The channels that may go.
    pub fn channels(&self) -> &Channels {
        &self.channels
    }
}

/// Refuses what does not go with filters.
///
/// # Errors
/// `Kind::Usage`, with the key.
pub fn suits(recipe: &Sparsity, entry: &Entry, method: &dyn Method) -> Result<()> {
    if recipe.pattern != Structure::Filter {
        return Ok(());
    }
    let refuse = |key: &str, what: &str, at: String, advice: &str| {
        Err(recipe.settings.locate(key, Error::usage(what).at(at)).hint(advice))
    };
    let pattern = || "pattern = \"filter\"".to_string();
    if !method.prunes_filters() {
        let what = format!("method `{}` cannot prune filters", entry.name);
        let why = match method.growth() {
            Some(_) => "it grows weights again, and nothing grows of a filter that is gone",
            None => "it chooses among single weights, or N of every M",
        };
        return refuse(
            "method",
            &what,
            format!("{}: {why}", pattern()),
            "method = \"gmp\", \"oneshot\" or \"static\"",
        );
    }
    if method.mask_mode() != MaskMode::Held {
        let what = "filters that are pruned keep no values";
        return refuse("latent", what, pattern(), "latent = false");
    }
    if method.in_turn().is_some() {
        return refuse("in_turn", "filters are pruned in all layers at once", pattern(), "in_turn = false");
    }
    if recipe.storage == recipe::Storage::Packed {
        let what = "filters that are pruned are removed: there is nothing to pack";
        return refuse("storage", what, pattern(), "storage = \"auto\" or \"masked\"");
    }
    if let Some(other) = recipe.distribution.filter(|own| *own != Distribution::Uniform) {
        let at = format!("{}, distribution = \"{}\"", pattern(), other.name());
        let what = "of filters each layer loses the same share";
        return refuse(
            "distribution",
            what,
            at,
            "distribution = \"uniform\", and a [[sparsity.rule]] for other shares",
        );
    }
    let unheeded = [
        (
            "fan_in",
            recipe.fan_in != FanIn::default(),
            "the inputs of a filter are those that other layers keep",
        ),
        ("scale", recipe.scale != Scale::default(), "weights begin as in the whole network"),
        ("strict", recipe.strict, "filters are not cut into blocks or groups"),
    ];
    if let Some((key, _, why)) = unheeded.into_iter().find(|(_, asked, _)| *asked) {
        return refuse(
            key,
            "where filters are pruned it says nothing",
            format!("{}: {why}", pattern()),
            "leave it out",
        );
    }
    if entry.start == Start::Random && recipe.filters.score != FilterScore::L1 {
        let at = format!("criterion = \"{}\", method = \"{}\"", recipe.filters.score.name(), entry.name);
        return refuse(
            "criterion",
            "the filters are drawn at random, not chosen",
            at,
            "leave it out, or method = \"gmp\"",
        );
    }
    if let Some(rule) = recipe.rules.iter().find(|rule| rule.keep.is_some() || rule.alike.is_some()) {
        let key = if rule.keep.is_some() { "keep" } else { "alike" };
        let at = format!("{}, and {key} for match = \"{}\"", pattern(), rule.matches);
        return refuse("rule", "a filter goes whole", at, "dense = true");
    }
    if let Some(rule) = recipe.rules.iter().find(|rule| rule.pattern.is_some()) {
        let at = format!("{}, and another for match = \"{}\"", pattern(), rule.matches);
        return refuse(
            "rule",
            "filters are pruned in the whole network, or nowhere",
            at,
            "dense = true, or a target",
        );
    }
    Ok(())
}

/// The pruner of filters; parameters get their memory, and the masks of the start.
///
/// # Errors
/// `Kind::Usage` where no channel can go, a rule matches none, or a width has no scale to be chosen by.
pub(super) fn prepare(
    gpu: &Gpu,
    recipe: &Sparsity,
    setting: &Setting,
    params: &mut ParamSet,
    entry: &'static Entry,
    mut method: Box<dyn Method>,
) -> Result<Pruner> {
    let all =
        setting.channels.ok_or_else(|| Error::internal("filters are pruned without knowing channels"))?;
    let score = recipe.filters.score;
    let (channels, budget) = budget_of(recipe, all, params)?;
    if let Some(width) =
        channels.widths.iter().find(|width| score == FilterScore::Scale && !channels.is_scaled(width))
    {
        let what = format!("no norm scales every channel of `{}`", channels.name(width, params));
        return Err(recipe.settings.locate("criterion", Error::usage(what).at("criterion = \"scale\""))
            .hint("criterion = \"l1\" or \"l2\"; a `batch_norm` after the layer; or a [[sparsity.rule]] that keeps it dense"));
    }
    let weights: usize = params.iter().filter(|param| param.prunable).map(|param| param.len()).sum();
    let masked: Vec<ParamId> = channels.masked(params).collect();
    let touched: usize = masked.iter().filter(|&&id| params[id].prunable).map(|&id| params[id].len()).sum();
    for &id in &masked {
        params[id].storage = Storage::Masked(MaskMode::Held);
    }
    let length = setting.length;
    let last = (0..length.steps).rev().find(|&step| method.due(step, length).is_some());
    let mut filters = Filters {
        score,
        stuck: Vec::new(),
        removed_from: recipe.filters.remove.then(|| last.map_or(0, |last| last + 1)),
        removed: false,
        weights,
        untouched: weights - touched,
        channels,
    };
    let target = recipe.target();
    let keeps = keeps(&budget, |target| target, target);
    if let Some(group) = budget.groups.iter().find(|group| is_below(group, &budget, target)) {
        let error = Error::usage("min_density keeps more filters than the target leaves").at(format!(
            "{} of {} by min_density = {}",
            budget.floor(group.len),
            group.len,
            recipe.min_density
        ));
        return Err(recipe
            .settings
            .locate("min_density", error)
            .hint("a lower min_density, or a lower target"));
    }
    let stays =
        |&(group, keep): &(&budget::Group, usize)| keep == group.len && group.target.unwrap_or(target) > 0.0;
    let widths = filters.channels.widths.iter().zip(budget.groups.iter().zip(keeps.iter().copied()));
    let stuck = widths.filter(|(_, group)| stays(group));
    filters.stuck = stuck.map(|(width, _)| filters.channels.name(width, params).to_string()).collect();
    let prunable = filters.channels.len();
    let dense = budget.total() - prunable;
    method.size(Sizes { prunable, keep: keeps.iter().sum(), dense }, length)?;
    let starts = entry.start == Start::Random;
    let density = filters.channels.densities(&keeps);
    let members: Vec<Vec<ParamId>> =
        filters.channels.widths.iter().map(|width| width.filters.clone()).collect();
    params.iter_mut().try_for_each(|param| param.allocate(gpu))?;
    if starts {
        let kept = drawn(gpu, setting.seed, &filters.channels, &keeps)?;
        for &id in &masked {
            let (param, mask) = (&params[id], filters.channels.axes(id).mask(&kept));
            param.write_mask(&mask)?;
            let value =
                |(i, value): (usize, f32)| if mask[i / 32] >> (i % 32) & 1 == 1 { value } else { 0.0 };
            param.write(&param.read()?.into_iter().enumerate().map(value).collect::<Vec<_>>())?;
        }
    }
    Ok(Pruner {
        entry,
        method,
        length,
        seed: setting.seed,
        start_density: if starts { density.clone() } else { vec![1.0; params.len()] },
        density,
        patterns: vec![None; params.len()],
        names: params.iter().map(|param| param.name.clone()).collect(),
        target,
        initial: recipe.initial(),
        packed_below: vec![0.0; params.len()],
        most_packed: 0,
        dense,
        members,
        budget,
        filters: Some(filters),
        flowing: None,
        soft: None,
        updater: Updater::Never,
        backward_set: None,
        permutation: None,
        permuted: false,
    })
}

/// The channels that rules let go, and how many there are of each width, as a budget.
fn budget_of(recipe: &Sparsity, all: &Channels, params: &ParamSet) -> Result<(Channels, Budget)> {
    if all.is_empty() {
        return Err(Error::usage("no filter can be pruned: every layer's outputs are the network's, or are mixed")
            .at("pattern = \"filter\"")
            .hint("a hidden layer; `layer_norm`, `attention` and recurrent layers need all channels of what they read"));
    }
    let first = params.iter().find(|param| param.window.is_some());
    let first = first.filter(|_| recipe.keep_dense.contains(&KeepDense::FirstConvolution));
    let dense = first.map(|param| Rule::dense(&param.name));
    let written: Vec<Rule> = dense.into_iter().chain(recipe.rules.iter().cloned()).collect();
    // What a rule says of a layer it says of all that hang together with it.
    let mut rules = Vec::new();
    for rule in &written {
        let has =
            |width: &&Width| width.filters.iter().any(|&id| rules::fits(&rule.matches, &params[id].name));
        let own: Vec<&Width> = all.widths.iter().filter(has).collect();
        let is_known = params.iter().any(|param| rules::fits(&rule.matches, &param.name));
        // What never loses a filter is dense already.
        if own.is_empty() && !(rule.dense && is_known) {
            let names: Vec<&str> = all.widths.iter().map(|width| all.name(width, params)).collect();
            return Err(Error::usage(format!(
                "a sparsity rule matches no layer that can lose filters: match = \"{}\"",
                rule.matches
            ))
            .at(format!("filters of: {}", names.join(", ")))
            .hint("a name from this list, or a pattern such as \"conv*\""));
        }
        let name = |width: &Width| all.name(width, params).to_string();
        rules.extend(own.into_iter().map(|width| Rule { matches: name(width), ..rule.clone() }));
    }
    let tensor = |width: &Width| budget::Tensor {
        name: all.name(width, params).to_string(),
        shape: vec![width.len()],
        form: Form::Free,
    };
    let tensors = all.widths.iter().map(tensor).collect();
    let budget = Budget::new(tensors, Distribution::Uniform, &rules)?.with_least(recipe.min_density);
    let goes = |width: &Width| !rules::is_dense(all.name(width, params), &rules);
    Ok((all.only(goes), budget))
}

/// Channels as many as a recipe leaves at the end, whichever these are: the network then has the widths that the run ends
/// with.
///
/// # Errors
/// As those of a run's start.
pub fn planned(recipe: &Sparsity, all: &Channels, params: &ParamSet) -> Result<Vec<bool>> {
    let (channels, budget) = budget_of(recipe, all, params)?;
    let mut kept = channels.none_kept();
    for (width, keep) in channels.widths.iter().zip(keeps(&budget, |target| target, recipe.target())) {
        kept[width.range()][..keep].fill(true);
    }
    Ok(kept)
}

/// How many channels each width keeps at a sparsity; `own` gives that due where a rule sets the target.
pub(super) fn keeps(budget: &Budget, own: impl Fn(f64) -> f64, sparsity: f64) -> Vec<usize> {
    let keep = |group: &budget::Group| {
        let keep = budget::keep(group.len, group.target.map_or(sparsity, &own));
        keep.max(budget.floor(group.len))
    };
    budget.groups.iter().map(keep).collect()
}

/// Whether a width is to keep more than its target leaves.
fn is_below(group: &budget::Group, budget: &Budget, sparsity: f64) -> bool {
    budget::keep(group.len, group.target.unwrap_or(sparsity)) < budget.floor(group.len)
}

/// Channels drawn at random, so many of each width.
fn drawn(gpu: &Gpu, seed: u64, channels: &Channels, keeps: &[usize]) -> Result<Vec<bool>> {
    let mut kept = channels.none_kept();
    for (width, &keep) in channels.widths.iter().zip(keeps) {
        let pattern =
            draw::draw(gpu, seed, width.filters[0].0 as u32, Form::Free, (width.len(), 1), keep, &[])?;
        pattern.indices().for_each(|channel| kept[(width.channels.start + channel) as usize] = true);
    }
    Ok(kept)
}
