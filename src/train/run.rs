//! The loop: steps, evaluations, checkpoints and dumps in the order in which they happen.

use std::path::PathBuf;

use super::checkpoint;
use super::event::{Evaluation, Event, Log, Part, Summary};
use super::exam::Marks;
use super::layout;
use super::session::Session;
use super::summary::summarise;
use super::warnings::Told;
use super::watch::Watch;
use crate::error::{Error, Kind, Result};
use crate::recipe::What;
use crate::shrink;
use crate::store::Array;

/// Steps whose dispatches are timed one by one, over a whole run.
const TIMED_STEPS: u64 = 20;
/// Each timed step lies this far into its interval: not at its start, where masks change and data is fresh.
const TIMED_OFFSET: u64 = 3;

/// What drives and bounds a run from outside.
pub struct Control<'a> {
    /// Where checkpoints and dumps go; without it nothing is saved.
    pub folder: Option<PathBuf>,
    /// Stop, with a checkpoint, when this many steps of the run are done.
    pub stop_at: Option<u64>,
    /// The signal that asks the run to stop, once there is one.
    pub signal: &'a dyn Fn() -> Option<i32>,
    /// Writes a dump: a function of the report room, handed in because calls go down.
    pub dump: Option<&'a Dump<'a>>,
}

/// Writes tensors (name, what, values) of a step and the numbers of its samples; returns the folder.
pub type Dump<'a> = dyn Fn(u64, &[(String, String, Array)], &[u32]) -> Result<PathBuf> + 'a;

/// Trains to the end, or to `stop_at`, and says what came of it.
///
/// # Errors
/// `Kind::Interrupted` after a checkpoint was saved; `Kind::Numbers` if the loss or a weight is not finite; whatever the
/// device and the file system report.
pub fn train(
    run: &mut Session,
    control: &Control,
    emit: &mut dyn FnMut(Event) -> Result<()>,
) -> Result<Summary> {
    let last = control.stop_at.unwrap_or(u64::MAX);
    let goes_on = |run: &Session| run.steps_done() < last && !run.is_done();
    let mut watch = Watch::default();
    let recorded =
        run.pruner.as_ref().map_or(Ok(None), |pruner| pruner.recorded_sparsity(&run.model.params))?;
    let mut told = Told::default();
    // A stage that is over is left in the loop, which says what begins then.
    if run.whole.stage_count() > 1 && (!run.is_stage_done() || run.is_done()) {
        emit(Event::StageEntered(&run.stage(), None))?;
    }
    if goes_on(run) {
        let place = format!("masks before step {}", run.steps_done());
        told.news(run, &place).iter().try_for_each(|error| emit(Event::Warned(error)))?;
    }
    let mut sparsity = recorded.unwrap_or(run.sparsity());
    while goes_on(run) {
        if run.is_stage_done() {
            watch.pause(run)?;
            run.next_stage()?;
            let flips = run.take_flips(run.steps_done())?;
            emit(Event::StageEntered(&run.stage(), flips.as_ref()))?;
            sparsity = run.sparsity();
        }
        let step = run.steps_done();
        if let Some(left) = run.remove_pruned()? {
            emit(Event::Removed { step, left: &left })?;
        }
        let change = watch.step(run, timed_at(run, run.step))?;
        if let Some(change) = change {
            sparsity = change.sparsity;
            if run.recorded.is_some() {
                watch.pause(run)?;
            }
            let flips = run.take_flips(change.step)?;
            emit(Event::MasksChanged(&change, flips.as_ref()))?;
            let place = format!("mask update at step {step}");
            told.news(run, &place).iter().try_for_each(|error| emit(Event::Warned(error)))?;
            change.cut.iter().try_for_each(|name| emit(Event::Warned(&cut(name, step))))?;
        }
        emit(Event::Stepped { step: run.steps_done(), steps: run.steps_in_all() })?;
        let mut done = run.steps_done() == last || run.is_stage_done();
        if due(run, run.recipe.dump.every) {
            emit(dump(run, control)?)?;
        }
        if done || due(run, Some(run.recipe.run.log_every)) {
            watch.pause(run)?;
            log(run, sparsity)?;
            emit(Event::Logged(run.last.as_ref().expect("just logged")))?;
        }
        if done || run.step.is_multiple_of(run.length.steps_per_epoch) {
            watch.pause(run)?;
            run.check_weights()?;
        }
        if run.is_done() && run.recipe.finish.recalibrate > 0 {
            let batches = run.recipe.finish.recalibrate;
            run.recalibrate(batches)?;
            emit(Event::Recalibrated { step: run.steps_done(), batches })?;
        }
        let (mut best, ended) = (false, run.is_stage_done());
        // Not where `stop_at` ends it: what is the best must not depend on when a run was stopped.
        if run.is_stage_done() || due(run, Some(run.recipe.run.eval_every)) {
            watch.pause(run)?;
            if run.pruner.is_some() {
                let noise = run.noise()?;
                emit(Event::Measured { step: run.steps_done(), noise: &noise })?;
            }
            let mut evaluation = evaluate(run, Part::Validation)?;
            if let Some(evaluation) = evaluation.as_ref().filter(|_| is_at_target(run)) {
                run.patience.see(evaluation.loss);
            }
            if run.recipe.log.tensorboard {
                emit(Event::Weights { step: run.steps_done(), arrays: &run.weights()? })?;
            }
            // It may have ended the stage before its last step.
            let is_early = !ended && run.is_stage_done();
            if is_early && run.is_done() && run.recipe.finish.recalibrate > 0 {
                // What is judged last is what is saved.
                run.recalibrate(run.recipe.finish.recalibrate)?;
                evaluation = evaluate(run, Part::Validation)?;
            }
            if let Some(evaluation) = &evaluation {
                best = is_best(run, evaluation);
                emit(Event::Evaluated(evaluation))?;
            }
            if is_early {
                done = true;
                if run.last.as_ref().is_none_or(|log| log.step != run.steps_done()) {
                    log(run, sparsity)?;
                    emit(Event::Logged(run.last.as_ref().expect("just logged")))?;
                }
                run.check_weights()?;
            }
        }
        let signal = (control.signal)();
        if done || best || signal.is_some() || due(run, Some(run.recipe.run.checkpoint_every)) {
            watch.pause(run)?;
            if let Some(event) = save(run, control, best)? {
                emit(event)?;
            }
        }
        if let Some(signal) = signal {
            return Err(interrupted(run, control, signal));
        }
    }
    watch.pause(run)?;
    let summary = summarise(run, control, emit)?;
    emit(Event::Finished(&summary))?;
    Ok(summary)
}

/// What is said where the search for an order of hidden units used up its rounds.
fn cut(name: &str, step: u64) -> Error {
    Error::usage(format!("the search for an order of the inputs of `{name}` ended with its last round"))
        .at(format!("mask update at step {step}; exchanges might gain magnitude still"))
        .hint("more sparsity.rounds")
}

/// What is said when a signal stopped the run, after its checkpoint was saved.
fn interrupted(run: &Session, control: &Control, signal: i32) -> Error {
    let what = format!("stopped at step {} of {}", run.steps_done(), run.steps_in_all());
    let error = Error::new(Kind::Interrupted(signal), what);
    match control.folder.as_ref().map(|path| path.display()) {
        Some(path) => {
            error.at(format!("saved in {path}")).hint(format!("`coppice resume {path}` goes on from here"))
        }
        None => error.at("nothing was saved: the run has no folder"),
    }
}

/// Whether something that happens every so often is due after the steps done so far.
fn due(run: &Session, every: Option<crate::recipe::Duration>) -> bool {
    let period = every.map(|every| every.period(run.length.steps, run.length.steps_per_epoch));
    period.is_some_and(|period| run.step.is_multiple_of(period))
}

fn timed_at(run: &Session, step: u64) -> bool {
    let interval = (run.length.steps / TIMED_STEPS).max(TIMED_OFFSET + 1);
    step % interval == TIMED_OFFSET
}

fn save(run: &Session, control: &Control, best: bool) -> Result<Option<Event<'static>>> {
    let Some(folder) = &control.folder else { return Ok(None) };
    // Weights that are not finite, or come after a loss that is not, must not replace good ones.
    run.check_weights()?;
    let totals = run.totals.read_u32()?;
    if crate::ops::tally::Totals::from_words(&totals).broken.is_some() {
        run.take_totals()?;
    }
    let path = checkpoint::save(folder, &run.snapshot()?, run.recipe.run.keep as usize, best)?;
    Ok(Some(Event::Saved { step: run.steps_done(), path, best }))
}

fn dump(run: &Session, control: &Control) -> Result<Event<'static>> {
    let write = control.dump.ok_or_else(|| {
        Error::usage("the recipe asks for dumps, but the run has no folder").hint("dump.every = \"off\"")
    })?;
    let spec = &run.recipe.dump;
    let (weights, grads) = (run.weights()?, run.grads()?);
    let mut all = Vec::new();
    for param in &run.model.params {
        if !spec.tensors.iter().any(|pattern| crate::recipe::glob(pattern, &param.name)) {
            continue;
        }
        for what in &spec.what {
            let array = match what {
                What::Weight => weights[&param.name].clone(),
                What::Grad => grads[&param.name].clone(),
                What::Score => {
                    let scores: Vec<f32> = weights[&param.name].to_f32().iter().map(|w| w.abs()).collect();
                    Array::f32(weights[&param.name].shape.clone(), &scores)
                }
                What::Mask if param.prunable => {
                    let words = param.read_mask()?;
                    let bits: Vec<u8> =
                        (0..param.len()).map(|i| (words[i / 32] >> (i % 32) & 1) as u8).collect();
                    layout::param_to_torch(&param.name, &Array::u8(param.shape.clone(), &bits))
                }
                What::Mask => continue,
            };
            // The weight itself needs no suffix to its name.
            let what = if *what == What::Weight { "value" } else { what.name() };
            all.push((param.name.clone(), what.to_string(), array));
        }
    }
    let step = run.steps_done();
    Ok(Event::Dumped { step, path: write(step, &all, &run.samples_of(run.step - 1)?)? })
}

fn evaluate(run: &Session, part: Part) -> Result<Option<Evaluation>> {
    // The hard masks last: they are what is counted and stored.
    let soft = run.evaluate_soft(part)?;
    let marks = run.evaluate(part)?;
    Ok(marks.map(|marks| Evaluation {
        soft_accuracy: soft.map(|soft| soft.totals.accuracy()),
        ..evaluation(run, part, marks)
    }))
}

fn evaluation(run: &Session, part: Part, marks: Marks) -> Evaluation {
    let Marks { totals, confidence, language } = marks;
    Evaluation {
        step: run.steps_done(),
        epoch: run.epoch(),
        part,
        language,
        loss: totals.mean_loss(),
        accuracy: totals.accuracy(),
        ece: confidence.ece,
        aurc: confidence.aurc,
        e_aurc: confidence.e_aurc,
        bins: confidence.bins.to_vec(),
        answers: totals.answers as usize,
        soft_accuracy: None,
    }
}

/// Loss, accuracy and confidence on the validation part, if there is one, and on the test part.
pub fn evaluate_all(run: &Session) -> Result<Vec<Evaluation>> {
    Ok([evaluate(run, Part::Validation)?, evaluate(run, Part::Test)?].into_iter().flatten().collect())
}

/// As [`evaluate_all`], of a subnet: see [`Session::cut`].
pub fn evaluate_part(run: &Session, network: &shrink::Part) -> Result<Vec<Evaluation>> {
    let mut all = Vec::new();
    for part in [Part::Validation, Part::Test] {
        all.extend(run.evaluate_part(network, part)?.map(|marks| evaluation(run, part, marks)));
    }
    Ok(all)
}

/// Notes training figures since the last time.
fn log(run: &mut Session, sparsity: f64) -> Result<()> {
    let totals = run.take_totals()?;
    if totals.answers == 0 {
        return run.last.as_ref().map(|_| ()).ok_or_else(|| Error::internal("nothing was trained"));
    }
    run.last = Some(Log {
        step: run.steps_done(),
        epoch: run.epoch(),
        train_loss: totals.mean_loss(),
        train_accuracy: totals.accuracy(),
        learning_rate: run.learning_rate(),
        sparsity,
    });
    Ok(())
}

/// Whether the masks have reached their target. Before that no evaluation counts: a denser network would win.
fn is_at_target(run: &Session) -> bool {
    // 1 - (1 - target) may be a little less than the target.
    run.pruner.as_ref().is_none_or(|pruner| !(run.sparsity() + 1e-9 < pruner.final_sparsity()))
}

/// Notes an evaluation, and whether it is the best of its stage so far; a smaller loss settles equal accuracies. What is
/// asked for the next token is judged by its loss.
fn is_best(run: &mut Session, now: &Evaluation) -> bool {
    if !is_at_target(run) {
        return false;
    }
    let better = run.best.is_none_or(|(accuracy, loss)| match now.language {
        Some(_) => now.loss < loss,
        None => (now.accuracy, -now.loss) > (accuracy, -loss),
    });
    if better {
        run.best = Some((now.accuracy, now.loss));
    }
    better
}
