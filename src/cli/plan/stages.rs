//! What `coppice plan` says of the course of a stage: learning rate, masks, and which layers train. Steps count from the
//! start of the run.

use serde_json::{Value, json};

use crate::error::Result;
use crate::train::{Session, Turn};

/// Step, sparsity, and weights kept.
type Update = (u64, f64, usize);

/// The learning rate of a stage, and the phases of its layers.
pub fn course(run: &Session) -> Vec<String> {
    let first = run.stage().step;
    let mut lines = vec!["learning rate:".to_string()];
    for Turn { step, rate, what } in run.turns() {
        lines.push(format!("  step {:>7}  {rate:<10.3e} {}", first + step, what.join(", ")));
    }
    let phases = layer_phases(run);
    if phases.len() > 1 {
        lines.push("layers join one after another:".into());
        for (step, factor, layers) in phases {
            lines.push(format!("  from step {step:>7}  learning rate x {factor}  {}", layers.join(" ")));
        }
    }
    lines
}

/// The mask updates of a run: the first, the last, and about ten in between.
pub fn updates(run: &Session, all: &[Update]) -> Vec<String> {
    let Some((last, _, at_end)) = all.last() else { return vec!["no mask updates".into()] };
    let total = prunable(run);
    if flows(run) {
        let chosen = format!("masks are chosen at every step, and recorded in {}", all.len());
        return vec![format!("{chosen}, the last of them {last}"), kept_at_end(total, *at_end)];
    }
    let is_shown =
        |index: usize| index == 0 || index + 1 == all.len() || index.is_multiple_of(all.len().div_ceil(10));
    // Of filters, channels are counted.
    let is_of_filters = run.pruner.as_ref().is_some_and(|pruner| pruner.filters().is_some());
    let of = if is_of_filters { String::new() } else { format!(", of {total} weights") };
    let mut lines = vec![format!("{} mask updates{of}:", all.len())];
    let shown = all.iter().enumerate().filter(|(index, _)| is_shown(*index));
    lines.extend(
        shown.map(|(_, (step, sparsity, kept))| {
            format!("  step {step:>7}  sparsity {sparsity:.4}  {kept} kept")
        }),
    );
    lines
}

/// Whether masks are chosen at every step: the sparsity of an update is then that of the layers that have a pattern.
fn flows(run: &Session) -> bool {
    run.pruner.as_ref().is_some_and(|pruner| pruner.flows())
}

fn prunable(run: &Session) -> usize {
    run.model.params.iter().filter(|param| param.prunable).map(|param| param.len()).sum()
}

fn kept_at_end(total: usize, kept: usize) -> String {
    let sparsity = 1.0 - kept as f64 / total as f64;
    format!("at the end {kept} of {total} weights are kept, sparsity {sparsity:.4}")
}

/// An update, its step counted from `first` on. What masks that are chosen at every step keep is known of the end alone.
pub fn update_json(run: &Session, first: u64, (step, sparsity, kept): &Update) -> Value {
    let is_final = || run.pruner.as_ref().is_some_and(|pruner| *sparsity == pruner.final_sparsity());
    let is_known = !flows(run) || is_final();
    json!({ "step": first + step, "sparsity": sparsity, "kept": is_known.then_some(kept) })
}

/// The most memory that a stage takes, also once weights are packed that are not yet: `again` builds it once more, on a device
/// that only counts.
pub fn peak(run: &Session, again: impl Fn() -> Result<Session>) -> Result<u64> {
    let at_first = run.gpu.memory().peak_bytes;
    if !run.packs_later()? {
        return Ok(at_first);
    }
    let mut ahead = again()?;
    ahead.pack_ahead()?;
    Ok(at_first.max(ahead.gpu.memory().peak_bytes))
}

/// A stage after the first.
pub fn lines(run: &Session) -> Result<Vec<String>> {
    let mut lines = vec![format!("stage {}", run.stage())];
    let updates = run.pruner.as_ref().map_or(Ok(Vec::new()), |pruner| pruner.schedule())?;
    if let (Some((step, ..)), Some((last, sparsity, kept))) = (updates.first(), updates.last()) {
        let first = run.stage().step;
        if flows(run) {
            lines.push(format!("masks are chosen at every step; {}", kept_at_end(prunable(run), *kept)));
        } else {
            lines.push(format!(
                "{} mask updates from step {} to {}: sparsity {sparsity:.4} at the end, {kept} kept",
                updates.len(),
                first + step,
                first + last
            ));
        }
    }
    lines.extend(course(run));
    Ok(lines)
}

pub fn json(run: &Session) -> Result<Value> {
    let first = run.stage().step;
    let updates = run.pruner.as_ref().map_or(Ok(Vec::new()), |pruner| pruner.schedule())?;
    let updates: Vec<Value> = updates.iter().map(|update| update_json(run, first, update)).collect();
    let turns = run.turns().into_iter().map(|turn| Turn { step: first + turn.step, ..turn });
    let mut all = json!(run.stage());
    (all["mask_updates"], all["phases"]) = (json!(updates), json!(phases(run)));
    all["learning_rate"] = json!(turns.collect::<Vec<_>>());
    Ok(all)
}

pub fn phases(run: &Session) -> Vec<Value> {
    let phase = |(step, factor, layers)| json!({ "step": step, "lr_factor": factor, "layers": layers });
    layer_phases(run).into_iter().map(phase).collect()
}

/// First step, factor on the learning rate, and names of the layers that train.
fn layer_phases(run: &Session) -> Vec<(u64, f64, Vec<&str>)> {
    let first = run.stage().step;
    let names = |trains: Vec<bool>| {
        let layers = run.model.trainable_layers().map(|layer| layer.name.as_str()).zip(trains);
        layers.filter(|(_, trains)| *trains).map(|(name, _)| name).collect()
    };
    let phases = run.layer_phases().into_iter();
    phases.map(|(step, factor, trains)| (first + step, factor, names(trains))).collect()
}
