//! The page of one run: figures, curves, sparsity over time, masks, times, memory, confidence, recipe.

use maud::{Markup, html};
use serde_json::Value;

use super::parts::{self, Bar, operations, percent};
use super::record::Record;
use crate::error::Result;
use crate::report::axis::Axis;
use crate::report::history::short;
use crate::report::plot::{Plot, Series, Stroke};
use crate::report::{kernels, mask, table};
use crate::train::Memory;

/// Pictures of masks, in bytes of the page: what is beyond has none.
const PICTURES: usize = 800_000;

/// All sections of a run's page.
pub fn sections(run: &Record) -> Result<Markup> {
    Ok(html! {
        (parts::facts(&facts(run)))
        @if run.report.is_none() {
            p { "The run is not done: these are its figures up to step " (run.steps()) "." }
        }
        (parts::section("Training", curves(run)?))
        @if let Some(history) = &run.history {
            (parts::section("Sparsity over time", html! {
                @for (_, plot) in history.plots() { @if says_something(&plot) { (parts::plot(&plot)?) } }
            }))
        }
        @if let Some(layers) = layers(run) { (parts::section("Layers at the end", layers)) }
        @if let Some(masks) = masks(run)? { (parts::section("Masks", masks)) }
        @if let Some(times) = times(run) { (parts::section("Time of a step", times)) }
        @if let Some(memory) = memory(run) { (parts::section("Memory on the device", memory)) }
        @if let Some(confidence) = confidence(run)? { (parts::section("Confidence", confidence)) }
        (parts::section("Recipe", recipe(run)))
    })
}

/// Shares that are 100 % from the first step to the last need no picture, such as R_s of a run that begins dense.
fn says_something(plot: &Plot) -> bool {
    plot.series.iter().flat_map(|series| &series.points).any(|point| point.1 != 100.0)
}

/// What people ask first.
fn facts(run: &Record) -> Vec<(&'static str, String)> {
    let number = |pointer: &str| run.number(pointer);
    let mut all = Vec::new();
    let mut add = |name, value: Option<String>| all.extend(value.map(|value| (name, value)));
    if run.is_language() {
        add("test loss", number("/test_loss").map(|loss| format!("{loss:.4} nats")));
        add("perplexity", number("/language/perplexity").map(|x| format!("{x:.3}")));
        add("bits a byte", number("/language/bits_per_byte").map(|x| format!("{x:.3}")));
        add("exact", number("/language/exact").map(percent));
    } else {
        add("test accuracy", number("/test_accuracy").map(percent));
        add("test loss", number("/test_loss").map(|loss| format!("{loss:.4}")));
    }
    add("sparsity", number("/sparsity").map(percent));
    let kept = number("/kept").zip(number("/total"));
    add("kept / total weights", kept.map(|(kept, total)| format!("{kept} / {total}")));
    add("stored", number("/stored_bytes").map(|bytes| table::bytes(bytes as u64)));
    add("peak on device", number("/peak_device_bytes").map(|bytes| table::bytes(bytes as u64)));
    add("ms / step", number("/ms_per_step/total").map(|ms| format!("{ms:.2}")));
    add("ms / step, dense", number("/dense/ms_per_step/total").map(|ms| format!("{ms:.2}")));
    add("training", number("/seconds").map(|seconds| format!("{seconds:.0} s")));
    add("steps", Some(run.steps().to_string()));
    add("seed", Some(run.recipe.run.seed.to_string()));
    let adapter = run.report.as_ref().and_then(|report| report["adapter"].as_str().map(String::from));
    add("device", adapter);
    all
}

/// Loss, and accuracy or perplexity, over steps.
fn curves(run: &Record) -> Result<Markup> {
    let series = |number: usize, name: &str, scale: f64, points: Vec<(f64, f64)>| {
        let points: Vec<_> = points.into_iter().map(|(x, y)| (x, scale * y)).collect();
        (!points.is_empty()).then(|| Series { dots: points.len() < 60, ..Series::new(name, number, points) })
    };
    let parts = |figure: &str, train: &str, scale: f64| -> Vec<Series> {
        let of = |part: &str| run.over_steps("evaluation", Some(part), figure);
        let lines = [
            series(0, "training", scale, run.over_steps("train", None, train)),
            series(1, "validation", scale, of("validation")),
            series(2, "test", scale, of("test")),
        ];
        lines.into_iter().flatten().collect()
    };
    let plot = |title: &str, y: Axis, series| {
        parts::plot(&Plot { title: title.into(), x: Axis::linear("training step"), y, series, bands: None })
    };
    Ok(html! {
        (plot("Loss", Axis::linear("mean loss"), parts("loss", "train_loss", 1.0))?)
        (plot("Accuracy", Axis::percent("accuracy (%)"), parts("accuracy", "train_accuracy", 100.0))?)
    })
}

fn layers(run: &Record) -> Option<Markup> {
    let layers = run.report.as_ref()?["layers"].as_array().filter(|layers| !layers.is_empty())?;
    let row = |layer: &Value| {
        let (kept, total) = (layer["kept"].as_f64()?, layer["total"].as_f64()?);
        let shape = layer["shape"].as_array()?.iter().map(Value::to_string).collect::<Vec<_>>().join(" x ");
        let sparsity = 1.0 - kept / total.max(1.0);
        let name = short(layer["name"].as_str()?).to_string();
        let storage = layer["storage"].as_str()?.to_string();
        Some(Bar {
            cells: vec![name, shape, format!("{kept} / {total}"), storage, percent(sparsity)],
            length: sparsity,
        })
    };
    let rows: Vec<Bar> = layers.iter().filter_map(row).collect();
    Some(parts::bars(&["layer", "shape", "kept / total", "storage", "sparsity"], &rows))
}

/// Kept weights bright, pruned ones dark.
fn masks(run: &Record) -> Result<Option<Markup>> {
    let Some((tensors, history)) = run.tensors.as_ref().zip(run.history.as_ref()) else { return Ok(None) };
    let (mut pictures, mut bytes, mut left_out) = (Vec::new(), 0, 0);
    for layer in &history.layers {
        let Some(array) = tensors.get(&layer.name) else { continue };
        let values = array.to_f32();
        let kept = mask::kept(tensors, &layer.name, &values)?;
        let image = kernels::weight_picture(&array.shape, None, &kept);
        let count = kept.iter().filter(|kept| **kept).count();
        let caption = format!("{}: {count} of {} kept", short(&layer.name), kept.len());
        let (picture, size) = parts::picture(&image, &caption)?;
        if bytes + size > PICTURES {
            left_out += 1;
            continue;
        }
        bytes += size;
        pictures.push(picture);
    }
    Ok(Some(html! {
        p { "Kept weights are bright; rows are outputs, columns are inputs, tiles are the kernels of a convolution." }
        div class="masks" { @for picture in pictures { (picture) } }
        @if left_out > 0 { p { (left_out) " more layers are left out; " code { "coppice inspect RUN --png DIR" } " draws them." } }
    }))
}

/// Phases of a step, in their order.
pub const PHASES: [&str; 7] = ["batch", "forward", "loss", "recompute", "backward", "update", "masks"];

fn times(run: &Record) -> Option<Markup> {
    let own = |phase: &str| run.number(&format!("/ms_per_step/{phase}"));
    let dense = |phase: &str| run.number(&format!("/dense/ms_per_step/{phase}"));
    let total = own("total")?;
    let known = |of: &dyn Fn(&str) -> Option<f64>| PHASES.iter().filter_map(|phase| of(phase)).sum::<f64>();
    let rest = |of: &dyn Fn(&str) -> Option<f64>| of("total").map(|total| (total - known(of)).max(0.0));
    let mut rows: Vec<(&str, f64, Option<f64>, bool)> =
        PHASES.iter().filter_map(|phase| Some((*phase, own(phase)?, dense(phase), true))).collect();
    rows.push(("rest: submissions, waiting, the host", rest(&own)?, rest(&dense), true));
    rows.push(("total", total, dense("total"), false));
    rows.extend(
        own("total_at_end").map(|ms| ("total at the end of the run", ms, dense("total_at_end"), false)),
    );
    let has_dense = dense("total").is_some();
    let largest = rows.iter().filter(|row| row.3).map(|row| row.1).fold(f64::MIN_POSITIVE, f64::max);
    let row = |(name, ms, dense, has_bar): (&str, f64, Option<f64>, bool)| {
        let mut cells = vec![name.to_string(), format!("{ms:.3}")];
        if has_dense {
            cells.push(dense.map_or("-".into(), |ms| format!("{ms:.3}")));
        }
        Bar { cells, length: if has_bar { ms / largest } else { 0.0 } }
    };
    let rows: Vec<Bar> = rows.into_iter().map(row).collect();
    let mut header = vec!["phase", "ms"];
    header.extend(has_dense.then_some("dense network, ms"));
    let flops = run.number("/train_flops/kept").zip(run.number("/train_flops/dense"));
    Some(html! {
        (parts::bars(&header, &rows))
        p { "Medians of timed steps. " b { "total" } " is the wall-clock time, mask updates included." }
        @if let Some((kept, dense)) = flops {
            p { "Over the run, prunable products took " (operations(kept)) "; those of the dense network take " (operations(dense)) "." }
        }
    })
}

fn memory(run: &Record) -> Option<Markup> {
    let held: Memory = serde_json::from_value(run.report.as_ref()?["memory"].clone()).ok()?;
    let peak = run.number("/peak_device_bytes")? as u64;
    let rest =
        ("freed since, texture copies, mask updates, constants, staging", peak.saturating_sub(held.total()));
    let rows: Vec<(&str, u64)> = held.rows().into_iter().chain([rest]).filter(|row| row.1 > 0).collect();
    let largest = rows.iter().map(|row| row.1).max().unwrap_or(1).max(1);
    let row = |(name, bytes): (&str, u64), length: f64| Bar {
        cells: vec![name.to_string(), table::bytes(bytes)],
        length,
    };
    let mut all: Vec<Bar> = rows.iter().map(|&one| row(one, one.1 as f64 / largest as f64)).collect();
    all.push(row(("peak on the device", peak.max(held.total())), 0.0));
    Some(parts::bars(&["held by", "bytes"], &all))
}

/// A reliability diagram, and the figures that go with it.
fn confidence(run: &Record) -> Result<Option<Markup>> {
    let Some(bins) = run.report.as_ref().and_then(|report| report["test_bins"].as_array()) else {
        return Ok(None);
    };
    let point = |bin: &Value| Some((100.0 * bin["confidence"].as_f64()?, 100.0 * bin["accuracy"].as_f64()?));
    let filled = bins.iter().filter(|bin| bin["samples"].as_u64() > Some(0));
    let ideal =
        Series::new("accuracy = confidence", 6, vec![(0.0, 0.0), (100.0, 100.0)]).stroke(Stroke::Dashed);
    let own = Series::new("this run", 0, filled.filter_map(point).collect()).dots();
    let plot = Plot {
        title: "Reliability on the test part".into(),
        x: Axis::percent("mean confidence of a bin (%)"),
        y: Axis::percent("accuracy (%)"),
        series: vec![ideal, own],
        bands: None,
    };
    let number = |pointer: &str| run.number(pointer).unwrap_or(f64::NAN);
    let figures = [
        ("NLL", format!("{:.4}", number("/test_nll"))),
        ("ECE", percent(number("/test_ece"))),
        ("AURC", format!("{:.2}e-3", 1e3 * number("/test_aurc"))),
        ("E-AURC", format!("{:.2}e-3", 1e3 * number("/test_e_aurc"))),
    ];
    Ok(Some(html! { (parts::facts(&figures)) (parts::plot(&plot)?) }))
}

fn recipe(run: &Record) -> Markup {
    let mut command = format!("coppice train {}", run.path.join("config.toml").display());
    if let Some((file, _)) = &run.initial {
        command += &format!(" --init {}", file.display());
    }
    html! {
        p { "This command trains the same run again:" }
        pre { (command) }
        details { summary { "The recipe, with every default" } pre { (run.recipe.to_toml()) } }
    }
}
