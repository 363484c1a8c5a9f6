//! What a run came to.

use super::compact;
use super::event::{Event, Layer, Summary};
use super::layout::torch_shape;
use super::run::{Control, evaluate_all};
use super::session::Session;
use crate::error::{Error, Result};
use crate::param::kept;

/// Evaluates once more, checks what is kept, and says all of it.
pub(super) fn summarise(
    run: &Session,
    control: &Control,
    emit: &mut dyn FnMut(Event) -> Result<()>,
) -> Result<Summary> {
    let mut found = evaluate_all(run)?;
    let test = found.pop().ok_or_else(|| Error::internal("there is no test part"))?;
    let validation = found.pop();
    emit(Event::Evaluated(&test))?;
    let layers = layers(run)?;
    let (kept, total) =
        layers.iter().fold((0, 0), |(kept, total), layer| (kept + layer.kept, total + layer.total));
    let peak_device_bytes = run.gpu.memory().peak_bytes;
    let noise = run.noise_at_end()?; // records a plan of its own
    Ok(Summary {
        schema: 1,
        done: run.is_done(),
        steps: run.steps_done(),
        epochs: run.epoch(),
        train_loss: run.last.as_ref().map(|log| log.train_loss),
        val_loss: validation.as_ref().map(|e| e.loss),
        val_accuracy: validation.as_ref().map(|e| e.accuracy),
        test_loss: test.loss,
        test_accuracy: test.accuracy,
        test_soft_accuracy: test.soft_accuracy,
        test_nll: test.loss,
        test_ece: test.ece,
        test_aurc: test.aurc,
        test_e_aurc: test.e_aurc,
        test_bins: test.bins,
        language: test.language,
        sparsity: 1.0 - kept as f64 / total.max(1) as f64,
        kept,
        total,
        layers,
        ms_per_step: run.times.ms_per_step(),
        clock: run.gpu.clock(),
        seconds: run.times.training(),
        first_seconds: run.times.first,
        step_cost: run.step_cost(),
        train_flops: run.flops_done()?,
        noise,
        dense: None,
        dense_counted: None,
        peak_device_bytes,
        memory: run.memory(),
        stored_bytes: compact::bytes(&run.stored(false)?),
        adapter: run.gpu.identity().adapter.clone(),
        backend: run.gpu.identity().backend.clone(),
        seed: run.recipe.run.seed,
        run: control.folder.clone(),
        digest: run.snapshot()?.digest,
    })
}

/// Counts what is kept, and checks it: against the masks' own zeros, and against the target at the end.
fn layers(run: &Session) -> Result<Vec<Layer>> {
    let mut all = Vec::new();
    for (id, param) in run.model.params.pairs().filter(|(_, param)| param.prunable) {
        if let Some(packed) = param.packed() {
            all.push(Layer {
                name: param.name.clone(),
                shape: torch_shape(&param.shape),
                kept: packed.index.pattern.kept(),
                total: param.len(),
                storage: param.storage.name(),
            });
            continue;
        }
        let whole = run.whole_shape(id);
        let mask = param.read_mask()?;
        let pruned_but_not_zero = param
            .read()?
            .iter()
            .enumerate()
            .filter(|&(i, &w)| mask[i / 32] >> (i % 32) & 1 == 0 && w != 0.0)
            .count();
        if pruned_but_not_zero > 0 {
            return Err(Error::internal(format!(
                "{pruned_but_not_zero} pruned weights of `{}` are not 0",
                param.name
            )));
        }
        all.push(Layer {
            name: param.name.clone(),
            shape: torch_shape(whole),
            kept: kept(&mask),
            total: whole.iter().product(),
            storage: param.storage.name(),
        });
    }
    let (have, total): (usize, usize) =
        all.iter().fold((0, 0), |(k, t), layer| (k + layer.kept, t + layer.total));
    if let Some(pruner) = run.pruner.as_ref().filter(|_| run.is_done() && !run.gpu.is_counted()) {
        let wanted = pruner.wanted()?.unwrap_or(have);
        if have != wanted {
            return Err(Error::internal(format!(
                "the run keeps {have} of {total} weights; {wanted} were asked for"
            )));
        }
    }
    Ok(all)
}
