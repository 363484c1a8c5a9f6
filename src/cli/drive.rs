//! Drives a run with its listeners: console, files, signals.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::waiting::{State, Waiting};
use super::{cache, tune};
use crate::data::{Dataset, Vocabulary, tokenizer};
use crate::error::{Error, Kind, Result};
use crate::gpu::Gpu;
use crate::ops::measure::Effort;
use crate::recipe::Recipe;
use crate::report::console::Console;
use crate::report::dump::write_dump;
use crate::report::files::{Files, write_report};
use crate::report::journal::Keeper;
use crate::report::tensorboard::TensorBoard;
use crate::store::folder::write_file_atomic;
use crate::train::baseline::{self, Counted, Dense};
use crate::train::{
    Control, Event, Facts, Initial, Meta, Origin, RunFolder, Session, Started, Summary, train,
};

/// What to do with a run besides what its recipe says.
#[derive(Default)]
pub struct Options {
    /// Stop when this many steps are done.
    pub max_steps: Option<u64>,
    pub quiet: bool,
    /// The weights that a new run starts with, where they come from a file.
    pub initial: Option<(Initial, Origin)>,
    /// How much is measured to choose kernels.
    pub autotune: Effort,
    /// The number of the signal that was received, where several runs share one; see [`signals`].
    pub signal: Option<Arc<AtomicUsize>>,
    /// Bytes that the dense network beside a sparse run may need at most to be measured; 2 GiB if left out.
    pub most_dense_bytes: Option<u64>,
}

/// Opens the data of a recipe.
pub fn data(recipe: &Recipe) -> Result<Dataset> {
    data_as(recipe, None)
}

/// As [`data`], read by the tokens that a network knows.
pub fn data_as(recipe: &Recipe, known: Option<&Vocabulary>) -> Result<Dataset> {
    crate::data::open_as(&recipe.data.name, recipe.data.validation, &recipe.data.settings, known)
}

/// Starts a new run in the folder `path`.
pub fn start(gpu: &Gpu, recipe: &Recipe, data: &Dataset, path: &Path, options: &Options) -> Result<Summary> {
    let initial = options.initial.as_ref().map(|(initial, _)| initial);
    let run = cache::Run { gpu, recipe, data, initial, max_steps: options.max_steps };
    let choices = tune::choices(&run, options.autotune, options.quiet)?;
    gpu.forget_peak(); // what was measured does not count
    let begin = || Session::starting_from(gpu, recipe, data, choices, initial);
    let session = build(gpu, options.quiet, begin)?;
    let meta = Meta {
        schema: 1,
        version: env!("CARGO_PKG_VERSION").into(),
        device: gpu.identity().clone(),
        data_hash: data.hash.clone(),
        data: Some(Facts::of(data)),
        variants: session.choices.clone(),
        recipe: None,
        folder: None,
        changes: Vec::new(),
        initial: options.initial.as_ref().map(|(_, origin)| origin.clone()),
    };
    let folder = RunFolder::create(path, &session.whole, &meta)?;
    initial.map_or(Ok(()), |initial| initial.save(path))?;
    go(session, data, &folder, options, Vec::new())
}

/// A copy of what cuts the text, so that the run needs nothing else to be resumed, judged and sampled.
fn keep_tokenizer(recipe: &Recipe, run: &Path) -> Result<()> {
    let Ok(file) = recipe.data.settings.text(tokenizer::KEY) else { return Ok(()) };
    let to = run.join(tokenizer::FILE);
    let bytes = std::fs::read(file).map_err(|e| Error::file("read", Path::new(file), e))?;
    match std::fs::read(&to).is_ok_and(|own| own == bytes) {
        true => Ok(()),
        false => write_file_atomic(&to, &bytes),
    }
}

/// Builds a session; while that takes long, says how many kernels are compiled.
pub fn build<T>(gpu: &Gpu, quiet: bool, build: impl FnOnce() -> T) -> T {
    let gpu = gpu.clone();
    let _waiting = Waiting::new(quiet, "run      weights, masks, kernels", move || {
        let (done, of) = gpu.pipelines();
        State { done: done as u64, of: of as u64, what: "kernels compiled".into() }
    });
    build()
}

/// Trains a session in its folder to the end. `warnings` are told first.
pub fn go(
    mut session: Session,
    data: &Dataset,
    folder: &RunFolder,
    options: &Options,
    warnings: Vec<Error>,
) -> Result<Summary> {
    let mut files = Files::open(&folder.path, session.steps_done())?;
    let result = go_with(&mut files, &mut session, data, folder, options, warnings);
    // Whatever it ended by, these are the last words in the folder.
    let ended = files.end(session.steps_done(), session.is_done(), result.as_ref().err());
    result.and_then(|summary| ended.map(|()| summary))
}

/// The same with files that are open.
fn go_with(
    files: &mut Files,
    session: &mut Session,
    data: &Dataset,
    folder: &RunFolder,
    options: &Options,
    mut warnings: Vec<Error>,
) -> Result<Summary> {
    let signal = options.signal.clone().map_or_else(signals, Ok)?;
    let mut console = Console::new(options.quiet);
    keep_tokenizer(&session.recipe, &folder.path)?;
    let wanted = session.recipe.log.tensorboard;
    let mut shown = TensorBoard::open(&folder.path, wanted, session.steps_done())?;
    let (mut journal, warning) = Keeper::open(&folder.path, session)?;
    warnings.extend(warning);
    // Some drivers compile when a kernel runs for the first time.
    let first = "run      the first step, which may compile kernels";
    let mut waiting = Some(Waiting::beside_a_bar(options.quiet, first));
    let mut emit = |event: Event| {
        if matches!(event, Event::Stepped { .. } | Event::Finished(_)) {
            waiting = None;
        }
        console.listen(&event);
        journal.listen(&event)?;
        shown.listen(&event)?;
        files.listen(&event)
    };
    let params = &session.model.params;
    let started = Started {
        name: session.recipe.run.name.clone(),
        device: session.gpu.identity().clone(),
        data: data.name.clone(),
        samples: session.samples(),
        classes: data.classes,
        empty_classes: data.empty_classes().len(),
        parameters: params.iter().map(|p| p.len()).sum(),
        maskable: params.iter().filter(|p| p.prunable).map(|p| p.len()).sum(),
        first_step: session.steps_done(),
        steps: session.steps_in_all(),
        steps_per_epoch: session.length.steps_per_epoch,
    };
    emit(Event::Started(&started))?;
    warnings.extend([data.warnings(), session.warnings()].concat());
    for warning in &warnings {
        emit(Event::Warned(warning))?;
    }
    let asked = || match signal.load(Ordering::Relaxed) {
        0 => None,
        number => Some(number as i32),
    };
    let path: PathBuf = folder.path.clone();
    let dump = |step: u64, tensors: &[_], samples: &[u32]| write_dump(&path, step, tensors, samples);
    let control = Control {
        folder: Some(folder.path.clone()),
        stop_at: options.max_steps,
        signal: &asked,
        dump: Some(&dump),
    };
    train_and_compare(session, data, &control, options, &mut emit)
}

/// Trains to the end, writes what came of it, and then measures the dense network beside it.
fn train_and_compare(
    session: &mut Session,
    data: &Dataset,
    control: &Control,
    options: &Options,
    emit: &mut dyn FnMut(Event) -> Result<()>,
) -> Result<Summary> {
    let mut summary = train(session, control, emit)?;
    let write = |summary: &Summary| control.folder.iter().try_for_each(|path| write_report(path, summary));
    write(&summary)?;
    if session.is_done() && session.pruner.is_some() && session.recipe.run.baseline {
        // The run is done, whatever comes of the comparison.
        let most = options.most_dense_bytes.unwrap_or(baseline::MOST_BYTES);
        match baseline::compare(&session.gpu, &session.recipe, data, &session.choices, most) {
            Ok(Dense::Measured(dense)) => summary.dense = Some(dense),
            Ok(Dense::Counted(dense)) => {
                emit(Event::Warned(&not_measured(&dense, most)))?;
                summary.dense_counted = Some(dense);
            }
            Err(error) => {
                emit(Event::Warned(&error.at("the run is done; its report has no dense network beside it")))?
            }
        }
        write(&summary)?;
    }
    Ok(summary)
}

fn not_measured(dense: &Counted, most: u64) -> Error {
    let needed = dense.peak_device_bytes;
    Error::new(Kind::Memory, "the dense network was not measured: its figures in the report are counted")
        .at(format!("it needs {needed} bytes of device memory; tried are at most {most}"))
        .hint("run.baseline = false says nothing of it")
}

/// A number that becomes that of the first SIGINT or SIGTERM. A second one ends the program at once.
pub fn signals() -> Result<Arc<AtomicUsize>> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let asked = Arc::new(AtomicUsize::new(0));
    for signal in [SIGINT, SIGTERM] {
        let again = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let register = || -> std::io::Result<()> {
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, again.clone())?;
            signal_hook::flag::register(signal, again.clone())?;
            signal_hook::flag::register_usize(signal, asked.clone(), signal as usize)?;
            Ok(())
        };
        register().map_err(|e| Error::internal("cannot listen to signals").at(e.to_string()))?;
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::table;

    #[test]
    fn a_dense_network_too_large_to_be_measured_is_counted() {
        let recipe = Recipe::find("digits-gmp-90", &["run.epochs=1".to_string()]).unwrap();
        let (gpu, data) = (Gpu::twin(), data(&recipe).unwrap());
        let home = tempfile::tempdir().unwrap();
        let run = |name: &str, most_dense_bytes: Option<u64>| {
            let signal = Some(Arc::default());
            let options = Options { quiet: true, signal, most_dense_bytes, ..Default::default() };
            let path = home.path().join(name);
            let summary = start(&gpu, &recipe, &data, &path, &options).unwrap();
            let text = std::fs::read_to_string(path.join("report.json")).unwrap();
            let log = std::fs::read_to_string(path.join("log.txt")).unwrap();
            (summary, serde_json::from_str::<serde_json::Value>(&text).unwrap(), log)
        };
        let (summary, report, log) = run("measured", None);
        assert!(report["dense_counted"].is_null() && !log.contains("not measured"), "{log}");
        let measured = summary.dense.clone().expect("it is small");
        let shown = [table::summaries(&[("r", &summary)]), table::phases(&summary)].concat();
        assert!(shown.contains("the same, dense ") && !shown.contains("counted"), "{shown}");

        // One byte less than it needs; then as many.
        let few = Some(measured.peak_device_bytes - 1);
        let (summary, report, log) = run("counted", few);
        assert!(summary.dense.is_none() && report["dense"].is_null());
        let counted = summary.dense_counted.clone().expect("it is too large");
        assert_eq!(counted.weights, 64 * 128 + 128 * 64 + 64 * 10);
        assert_eq!(counted.step_cost, measured.step_cost);
        assert_eq!(counted.stored_bytes, measured.stored_bytes);
        assert_eq!(counted.peak_device_bytes, measured.peak_device_bytes);
        assert_eq!(report["dense_counted"], serde_json::json!(counted));
        assert!(log.contains("warning: the dense network was not measured"), "{log}");
        let shown = [table::summaries(&[("r", &summary)]), table::phases(&summary)].concat();
        let flops = format!("{:.2}", counted.step_cost.flops as f64 / 1e6);
        for word in ["the same, dense: counted", "not measured", "17024 / 17024", "dense: counted", &flops] {
            assert!(shown.contains(word), "{word} is not in\n{shown}");
        }
        let (summary, ..) = run("enough", Some(measured.peak_device_bytes));
        assert!(summary.dense.is_some() && summary.dense_counted.is_none());
    }
}
