//! `coppice plan`: what a recipe will do, without training.

use serde_json::json;

use super::init::Init;
use super::{Device, RecipeArgs, cache, drive, print_json};
use crate::data::Dataset;
use crate::error::Result;
use crate::gpu::{Choice, Cost, Dispatch, Gpu, Identity, Phase};
use crate::ops::packed::Form;
use crate::ops::variants::Choices;
use crate::param::{MaskMode, Param, ParamId};
use crate::recipe::{Recipe, Sparsity, Storage, Unfreeze};
use crate::report::{fit, table};
use crate::sparsity::kept_dense;
use crate::sparsity::rules::fits;
use crate::train::layout::shape_of;
use crate::train::{Session, TrainFlops};

mod kernels;
mod roofline;
mod stages;

use roofline::{Ceilings, Roofline, Target};

#[derive(clap::Args)]
pub struct Plan {
    #[command(flatten)]
    pub(super) recipe: RecipeArgs,
    #[command(flatten)]
    init: Init,
    #[command(flatten)]
    device: Device,
    /// Also say how long each dispatch takes at least: on a GPU of so many TFLOP/s (f32) and GB/s, which need not be here,
    /// or with `measured` on the device itself
    #[arg(long = "for", value_name = "TFLOPS,GB/s")]
    target: Option<Target>,
    /// Also say why each weight is stored as it is, and why each kernel was chosen
    #[arg(short, long)]
    verbose: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Plan {
    pub fn run(&self) -> Result<()> {
        let recipe = self.recipe.read()?;
        let data = drive::data(&recipe)?;
        // Recording needs no device: memory is counted, kernels are those known to be fastest on it.
        let (gpu, ceilings) = match self.target {
            Some(Target::Imagined(ceilings)) => (ceilings.device(), Some(ceilings)),
            target => {
                let device = self.device.open()?;
                let measured = target.map(|_| Ceilings::measure(&device)).transpose()?;
                let is_found = device.is_device() || !matches!(self.device.choice()?, Choice::Auto);
                (if is_found { device.counted_like() } else { any_gpu() }, measured)
            }
        };
        let identity = gpu.identity().clone();
        let choices = if recipe.run.autotune { cache::known(&identity)? } else { Default::default() };
        let initial = self.init.read(&recipe, &data)?.map(|(initial, _)| initial);
        let first =
            |gpu: &Gpu, choices| Session::starting_from(gpu, &recipe, &data, choices, initial.as_ref());
        let run = first(&gpu, choices)?;
        let stage = |number| {
            let (gpu, choices) = (gpu.counted_like(), run.choices.clone());
            if number == 0 {
                first(&gpu, choices)
            } else {
                Session::of_stage(&gpu, &recipe, &data, choices, number)
            }
        };
        let later = (1..recipe.stage_count()).map(stage).collect::<Result<Vec<_>>>()?;
        let all = [&run].into_iter().chain(&later).enumerate();
        let peaks =
            all.map(|(number, own)| stages::peak(own, || stage(number))).collect::<Result<Vec<_>>>()?;
        let memory = peaks.into_iter().max().unwrap_or(0);
        let updates = run.pruner.as_ref().map_or(Ok(Vec::new()), |pruner| pruner.schedule())?;
        let budgets = run.pruner.as_ref().map_or(Ok(Vec::new()), |pruner| pruner.budgets(pruner.target()))?;
        let step = run.plans();
        let masks = run.pruner.as_ref().map_or(Vec::new(), |pruner| pruner.plans());
        let plans: Vec<&crate::gpu::Plan> = step.iter().copied().chain(masks).collect();
        let cost = |phase: Phase| plans.iter().fold(Cost::default(), |sum, plan| sum + plan.cost_of(phase));
        let dispatches = || plans.iter().flat_map(|plan| merged(&plan.dispatches));
        let searches = run.pruner.as_ref().is_some_and(|pruner| pruner.searches());
        let uneven = run.pruner.as_ref().is_some_and(|pruner| pruner.is_uneven());
        let filters = run.pruner.as_ref().is_some_and(|pruner| pruner.filters().is_some());
        let notes = [searches.then_some(SEARCH), uneven.then_some(UNEVEN), filters.then_some(FILTERS)];
        let notes: Vec<&str> = notes.into_iter().flatten().collect();
        let dense_run = ceilings.map(|_| dense_session(&gpu, &recipe, &data)).transpose()?;
        let roofline = ceilings.zip(dense_run.as_ref()).map(|(ceilings, dense_run)| Roofline {
            ceilings,
            step: step.clone(),
            masks: run.pruner.as_ref().map_or(Vec::new(), |pruner| pruner.plans()).into_iter().collect(),
            dense: dense_run.plans(),
        });
        let held = run.memory();
        let stored = 4 * run.model.params.iter().map(|p| p.len() as u64).sum::<u64>();
        let (dense, packed) = (kernels::dense(&run), kernels::packed(&run));
        let flops = planned_flops(&run, &later)?;
        let rests = run.rests_in_all();
        let warnings = [data.warnings(), run.warnings(), run.forecast_cuts()?].concat();
        for warning in &warnings {
            eprintln!("warning: {warning}");
        }
        if self.json {
            let layers: Vec<_> = run
                .model
                .params
                .pairs()
                .map(|(i, p)| {
                    json!({ "name": p.name, "shape": shape_of(p), "total": p.len(), "maskable": p.prunable,
                            "pattern": p.form.name(), "storage": p.storage.name(), "why": why(&run, i) })
                })
                .collect();
            let groups: Vec<_> = budgets
                .iter()
                .map(|(names, keep, len)| json!({ "tensors": names, "keep": keep, "total": len }))
                .collect();
            let steps: Vec<_> = updates.iter().map(|update| stages::update_json(&run, 0, update)).collect();
            let dispatched: Vec<_> = dispatches()
                .map(|(d, times)| json!({ "label": d.label, "phase": d.phase, "times": times, "groups": d.groups, "flops": d.cost.flops, "bytes": d.cost.bytes }))
                .collect();
            let phases: serde_json::Map<_, _> =
                Phase::ALL.iter().map(|&p| (p.name().to_string(), json!(cost(p)))).collect();
            let training = stages::phases(&run);
            let all = std::iter::once(&run).chain(&later).map(stages::json).collect::<Result<Vec<_>>>()?;
            return print_json(&json!({
                "schema": 1, "recipe": recipe.run.name, "device": identity,
                "steps": run.steps_in_all(), "stages": all, "steps_per_epoch": run.length.steps_per_epoch,
                "classes": data.classes, "empty_classes": data.empty_classes(),
                "device_bytes": memory, "dense_bytes": stored, "mean_bytes": held.means, "memory": held, "layers": layers, "budgets": groups, "mask_updates": steps, "phases": training, "learning_rate": run.turns(),
                "rests": rests, "warnings": warnings.iter().map(|warning| warning.what()).collect::<Vec<_>>(),
                "cost": phases, "train_flops": flops, "dispatches": dispatched, "dense_kernels": dense.iter().map(kernels::Dense::json).collect::<Vec<_>>(),
                "packed": packed.iter().map(kernels::Packed::json).collect::<Vec<_>>(), "notes": notes,
                "roofline": roofline.as_ref().map(Roofline::json),
            }));
        }
        say(&format!("{} on {} ({})", recipe.run.name, identity.adapter, identity.backend))?;
        say(&format!(
            "{} steps, {} an epoch; batch {}{}; {} classes",
            run.steps_in_all(),
            run.length.steps_per_epoch,
            recipe.run.batch,
            match recipe.run.accumulate {
                1 => String::new(),
                batches => format!(", {batches} of them a step"),
            },
            data.classes
        ))?;
        if !later.is_empty() {
            say(&format!("stage {}", run.stage()))?;
        }
        let lines: Vec<_> = run
            .model
            .params
            .pairs()
            .map(|(_, p)| {
                vec![
                    p.name.clone(),
                    format!("{:?}", shape_of(p)),
                    p.len().to_string(),
                    p.storage.name().into(),
                ]
            })
            .collect();
        say(&table::rows(&["parameter", "shape", "values", "storage at the start"], &lines))?;
        if self.verbose {
            let of = |(id, param): (ParamId, &Param)| (param.name.clone(), why(&run, id));
            reasons("stored so because", run.model.params.pairs().map(of))?;
        }
        if !budgets.is_empty() {
            let line = |(names, keep, len): &(Vec<String>, usize, usize)| {
                vec![names.join(" "), keep.to_string(), len.to_string()]
            };
            say(&table::rows(
                &["selected together", "keep at the end", "of"],
                &budgets.iter().map(line).collect::<Vec<_>>(),
            ))?;
            stages::updates(&run, &updates).iter().try_for_each(|line| say(line))?;
        }
        if rests > 0 {
            say(&format!(
                "the optimizer rests in {rests} of {} steps, where masks are updated",
                run.length.steps
            ))?;
        }
        stages::course(&run).iter().try_for_each(|line| say(line))?;
        for stage in &later {
            stages::lines(stage)?.iter().try_for_each(|line| say(line))?;
        }
        if !later.is_empty() {
            say("below is a step of the first stage:")?;
        }
        let line = |(d, times): (&Dispatch, usize)| {
            vec![
                d.label.clone(),
                d.phase.name().into(),
                times.to_string(),
                d.groups.to_string(),
                format!("{:.2}", d.cost.flops as f64 / 1e6),
                format!("{:.2}", d.cost.bytes as f64 / 1e6),
            ]
        };
        say(&table::rows(
            &["dispatch", "phase", "times", "workgroups", "MFLOP each", "MB each"],
            &dispatches().map(line).collect::<Vec<_>>(),
        ))?;
        if !dense.is_empty() {
            say("dense kernels, where weights are not packed:")?;
            let lines: Vec<_> = dense.iter().flat_map(kernels::Dense::lines).collect();
            self.kernels(&["parameter", "product", "kernel"], &lines)?;
        }
        if !packed.is_empty() {
            say("at the density of the end, where weights are packed by then:")?;
            let lines: Vec<_> = packed.iter().flat_map(kernels::Packed::lines).collect();
            self.kernels(&["parameter", "density", "product", "kernel"], &lines)?;
        }
        notes.iter().try_for_each(|note| say(note))?;
        if let Some(roofline) = &roofline {
            say(&format!("on {}:", identity.adapter))?;
            say(&table::rows(&Roofline::HEADER, &roofline.lines()))?;
            roofline.sums().iter().try_for_each(|line| say(line))?;
        }
        let all = run.step_cost();
        say(&format!(
            "a step: {:.1} MFLOP, {:.1} MB moved at least",
            all.flops as f64 / 1e6,
            all.bytes as f64 / 1e6
        ))?;
        if recipe.run.recompute {
            let again = step.iter().map(|plan| plan.cost_of(Phase::Recompute));
            say(&recomputed(again.fold(Cost::default(), |sum, cost| sum + cost)))?;
        }
        if let Some(TrainFlops { kept, dense }) = flops {
            let (share, kept, dense) = (100.0 * kept / dense, kept / 1e12, dense / 1e12);
            say(&format!(
                "products of all steps, kept weights alone: {kept:.3} TFLOP, {share:.1} % of the dense run's {dense:.3}"
            ))?;
        }
        say(&format!("device memory: {} at its peak; of that", table::bytes(memory)))?;
        let rest = ("texture copies, mask updates, constants, staging", memory.saturating_sub(held.total()));
        let holders = held.rows().into_iter().chain([rest]).filter(|(_, bytes)| *bytes > 0);
        let line = |(what, bytes): (&str, u64)| vec![what.to_string(), table::bytes(bytes)];
        say(&table::rows(&["held by", "bytes"], &holders.map(line).collect::<Vec<_>>()))?;
        let apart = table::bytes(held.activations_apart);
        say(&format!("activations and their gradients share buffers: in one each they would take {apart}"))?;
        say(&format!("weights and biases as stored: {}", table::bytes(stored)))?;
        if self.verbose {
            Ok(())
        } else {
            say("--verbose says why weights are stored so, and why each kernel was chosen")
        }
    }

    /// A table of kernels, whose rows end with why each was chosen.
    fn kernels(&self, header: &[&str], lines: &[Vec<String>]) -> Result<()> {
        let rows: Vec<_> = lines.iter().map(|line| line[..header.len()].to_vec()).collect();
        say(&table::rows(header, &rows))?;
        if !self.verbose {
            return Ok(());
        }
        let of = |line: &Vec<String>| {
            (format!("{} {}", line[0], line[header.len() - 2]), line[header.len()].clone())
        };
        reasons("chosen because", lines.iter().map(of))
    }
}

/// Says a line for people, in several where it is long.
fn say(line: &str) -> Result<()> {
    let is_table = line.starts_with('+');
    super::say(&if is_table { line.to_string() } else { fit::wrap(line, fit::WIDTH, "    ") })
}

/// Reasons, each with the names of what it is said of.
fn reasons(title: &str, all: impl Iterator<Item = (String, String)>) -> Result<()> {
    let mut by_reason: Vec<(String, Vec<String>)> = Vec::new();
    for (name, why) in all {
        match by_reason.iter_mut().find(|(reason, _)| *reason == why) {
            Some((_, names)) => names.push(name),
            None => by_reason.push((why, vec![name])),
        }
    }
    say(&format!("{title}:"))?;
    by_reason.iter().try_for_each(|(why, names)| say(&format!("  {why}  ({})", names.join(", "))))
}

/// What `run.recompute` costs in a step.
fn recomputed(Cost { flops, bytes }: Cost) -> String {
    if (flops, bytes) == (0, 0) {
        return "nothing is computed again: it would save less than a tenth of the memory of activations"
            .to_string();
    }
    let (flops, bytes) = (flops as f64 / 1e6, bytes as f64 / 1e6);
    format!("of that for activations that are computed again: {flops:.1} MFLOP, {bytes:.1} MB moved at least")
}

/// The products of all stages; `None` where a density is learned.
fn planned_flops(run: &Session, later: &[Session]) -> Result<Option<TrainFlops>> {
    let mut sum = run.planned_flops()?;
    for stage in later {
        sum = sum
            .zip(stage.planned_flops()?)
            .map(|(a, b)| TrainFlops { kept: a.kept + b.kept, dense: a.dense + b.dense });
    }
    Ok(sum)
}

/// What is planned for where no device is found: a GPU, with the kernels that every one can run.
fn any_gpu() -> Gpu {
    Gpu::counted_as(&Identity {
        adapter: "any GPU, as none was found".into(),
        backend: "none".into(),
        class: "discrete".into(),
        driver: String::new(),
        subgroups: false,
        reason: "no adapter".into(),
    })
}

/// The same network without any pruning.
fn dense_session(gpu: &Gpu, recipe: &Recipe, data: &Dataset) -> Result<Session> {
    let gpu = gpu.counted_like();
    let recipe = Recipe { sparsity: Sparsity::none(), unfreeze: Unfreeze::default(), ..recipe.stage(0) };
    Session::new(&gpu, &recipe, data, Choices::default())
}

/// What is said of weights kept, where it is blocks that are counted.
const UNEVEN: &str = "blocks do not divide every layer: their number is met exactly; weights kept are counted here as if all \
                      blocks of a layer had as many";

/// What is counted where filters are pruned.
const FILTERS: &str = "filters are counted, not weights: a filter that is pruned takes its bias, the scale and shift of its norm, \
                       and the inputs of the layers after it along; sparsity is the share of filters";

/// What a search's dispatches are: how many rounds it takes is known only when it is over.
const SEARCH: &str = "hidden units are permuted by a search, counted here as one round with all pairs of groups open; it \
                      goes on for as many rounds as find an exchange, with fewer pairs open in each";

/// What a plan dispatches, in the order in which each first comes, and how many times: a search has the same few kernels
/// in each of thousands of turns, an update of packed weights in each tile.
fn merged(dispatches: &[Dispatch]) -> Vec<(&Dispatch, usize)> {
    let key = |d: &Dispatch| (d.phase, d.groups, d.cost);
    let mut all: Vec<(&Dispatch, usize)> = Vec::new();
    for dispatch in dispatches {
        match all.iter_mut().find(|(d, _)| key(d) == key(dispatch) && d.label == dispatch.label) {
            Some((_, times)) => *times += 1,
            None => all.push((dispatch, 1)),
        }
    }
    all
}

/// Why a parameter is stored as it is.
fn why(run: &Session, id: ParamId) -> String {
    let param = &run.model.params[id];
    let filters = run.pruner.as_ref().and_then(|pruner| pruner.filters());
    if filters.is_some() && param.is_masked() {
        return "with whole filters, its own or those before it".into();
    }
    let Some(pruner) = run.pruner.as_ref().filter(|_| param.is_masked()) else {
        let recipe = &run.recipe.sparsity;
        let rule = recipe.rules.iter().rfind(|rule| fits(&rule.matches, &param.name));
        return match (rule, kept_dense(recipe, &run.model.params, id)) {
            _ if !param.prunable => "dense unless a rule names it in full".into(),
            _ if run.pruner.is_none() => "nothing of it is pruned".into(),
            (Some(rule), _) if rule.dense => format!("kept dense by the rule for `{}`", rule.matches),
            (None, Some(kind)) => format!("kept dense: keep_dense has \"{}\"", kind.name()),
            _ => "nothing of it is pruned".into(),
        };
    };
    match (run.recipe.sparsity.storage, pruner.packed_below(id)) {
        (Storage::Masked, _) => "asked for".into(),
        (_, 0.0) if param.mask_mode() != MaskMode::Held => "pruned weights keep their values".into(),
        (_, 0.0) if matches!(param.form, Form::Parts { .. }) => "what is pruned alike stays masked".into(),
        (_, 0.0) if !param.is_multiplied => "no product reads it".into(),
        (_, 0.0) if !param.form.is_packable() => {
            "packed products read whole blocks of 4x1 and 8x1 alone".into()
        }
        (_, below) if param.mask_mode() == MaskMode::Flowing => {
            format!(
                "pruned weights keep their values; once masks freeze, packed from density {below:.3} down"
            )
        }
        (Storage::Packed, _) => "asked for, once something is pruned".into(),
        (Storage::Auto, _) => kernels::crossover(run, id).to_string(),
    }
}
