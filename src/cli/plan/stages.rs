//! What `coppice plan` says of the course of a stage: learning rate, masks, and which layers train. Steps count from the
//! start of the run.

use serde_json::{Value, json};

use crate::error::Result;
use crate::train::{Session, Turn};

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
        lines.push(format!(
            "{} mask updates from step {} to {}: sparsity {sparsity:.4} at the end, {kept} kept",
            updates.len(),
            first + step,
            first + last
        ));
    }
    lines.extend(course(run));
    Ok(lines)
}

pub fn json(run: &Session) -> Result<Value> {
    let first = run.stage().step;
    let updates = run.pruner.as_ref().map_or(Ok(Vec::new()), |pruner| pruner.schedule())?;
    let updates: Vec<Value> = updates
        .iter()
        .map(|(step, sparsity, kept)| json!({ "step": first + step, "sparsity": sparsity, "kept": kept }))
        .collect();
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
