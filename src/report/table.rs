//! Tables of results, the dense baseline in the same row order as the sparse run.

use std::collections::BTreeMap;

use crate::report::fit::{FIRST, TextTable, wrap};
use crate::train::{Language, Left, Summary, TrainFlops};

/// What is left of each width, for a table of three columns.
pub fn rows_of_left(left: &[Left]) -> Vec<Vec<String>> {
    let row = |own: &Left| vec![own.layers.join(" "), own.kept.to_string(), own.total.to_string()];
    left.iter().map(row).collect()
}

/// A table from rows of cells: the first column is text, in as many lines as it takes, the others are numbers.
pub fn rows(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = TextTable::new(header, 1);
    for row in rows {
        let cell = |(column, cell): (usize, &String)| match column {
            0 => wrap(cell, FIRST, "  "),
            _ => cell.clone(),
        };
        table.add_row(row.iter().enumerate().map(cell).collect::<Vec<_>>());
    }
    table.to_string()
}

/// Where there is no figure: of too few steps, or of a network that was counted.
const NOT_MEASURED: &str = "not measured";

/// A figure of networks of text.
pub struct Figure {
    pub name: &'static str,
    /// Its place in `report.json`.
    pub pointer: &'static str,
    of: fn(&Language) -> Option<f64>,
    pub write: fn(f64) -> String,
}

/// Figures of networks of text, beside the loss.
pub const LANGUAGE: [Figure; 3] = [
    Figure {
        name: "perplexity",
        pointer: "/language/perplexity",
        of: |own| Some(own.perplexity),
        write: |x| format!("{x:.3}"),
    },
    Figure {
        name: "bits a byte",
        pointer: "/language/bits_per_byte",
        of: |own| own.bits_per_byte,
        write: |x| format!("{x:.3}"),
    },
    Figure {
        name: "exact",
        pointer: "/language/exact",
        of: |own| own.exact,
        write: |x| format!("{:.2} %", x * 100.0),
    },
];

impl Figure {
    fn of(&self, summary: &Summary) -> Option<f64> {
        summary.language.as_ref().and_then(self.of)
    }
}

/// One row a run, and below a sparse one the dense network as it was measured or, if it was not, as it is counted.
pub fn summaries(runs: &[(&str, &Summary)]) -> String {
    let of_language = runs.iter().all(|(_, s)| s.language.is_some());
    let judged = if of_language { "test loss" } else { "test accuracy" };
    // Columns that networks of text alone have, if any of them has the figure.
    let known = |figure: &Figure| of_language && runs.iter().any(|(_, s)| figure.of(s).is_some());
    let figures: Vec<&Figure> = LANGUAGE.iter().filter(|figure| known(figure)).collect();
    let mut header = vec!["run", judged];
    header.extend(figures.iter().map(|figure| figure.name));
    header.extend(["kept / total weights", "stored", "peak on device", "ms / step", "training"]);
    let blank = || vec![String::new(); 1 + figures.len()];
    let ms = |times: &BTreeMap<&'static str, f64>| {
        times.get("total").map_or(NOT_MEASURED.to_string(), |ms| format!("{ms:.3}"))
    };
    let mut lines = Vec::new();
    for (name, s) in runs {
        let judgement = match of_language {
            true => format!("{:.4}", s.test_loss),
            false => format!("{:.2} %", s.test_accuracy * 100.0),
        };
        let mut line = vec![name.to_string(), judgement];
        line.extend(figures.iter().map(|figure| figure.of(s).map_or(String::new(), figure.write)));
        line.extend([
            format!("{} / {}", s.kept, s.total),
            bytes(s.stored_bytes),
            bytes(s.peak_device_bytes),
            ms(&s.ms_per_step),
            format!("{:.1} s", s.seconds),
        ]);
        lines.push(line);
        if let Some(dense) = &s.dense {
            let mut line = [vec!["  the same, dense".into()], blank()].concat();
            line.extend([
                format!("{0} / {0}", s.total),
                bytes(dense.stored_bytes),
                bytes(dense.peak_device_bytes),
                ms(&dense.ms_per_step),
                String::new(),
            ]);
            lines.push(line);
        }
        if let Some(dense) = &s.dense_counted {
            let mut line = [vec!["  the same, dense: counted".into()], blank()].concat();
            line.extend([
                format!("{0} / {0}", dense.weights),
                bytes(dense.stored_bytes),
                bytes(dense.peak_device_bytes),
                NOT_MEASURED.into(),
                String::new(),
            ]);
            lines.push(line);
        }
    }
    rows(&header, &lines)
}

/// Milliseconds of a step by phase and operations of a step, the dense network's beside them.
pub fn phases(summary: &Summary) -> String {
    let dense = |phase: &str| summary.dense.as_ref().and_then(|d| d.ms_per_step.get(phase));
    let first = match summary.first_seconds * 1e3 {
        0.0 => None,
        ms => Some(vec!["first steps, by themselves".to_string(), format!("{ms:.3} in all"), String::new()]),
    };
    let mut lines: Vec<Vec<String>> = summary
        .ms_per_step
        .iter()
        .map(|(phase, ms)| {
            let other = dense(phase).map_or(String::new(), |ms| format!("{ms:.3}"));
            vec![phase.replace('_', " "), format!("{ms:.3}"), other]
        })
        .collect();
    if !summary.ms_per_step.contains_key("total") {
        lines.push(vec!["total".into(), NOT_MEASURED.into(), String::new()]);
    }
    lines.extend(first);
    let mega = |flops: u64| format!("{:.2}", flops as f64 / 1e6);
    let measured = summary.dense.as_ref().map(|dense| dense.step_cost);
    let cost = measured.or(summary.dense_counted.as_ref().map(|dense| dense.step_cost));
    let other = cost.map_or(String::new(), |cost| mega(cost.flops));
    lines.push(vec!["MFLOP a step, at the end".into(), mega(summary.step_cost.flops), other]);
    let tera = |flops: f64| format!("{:.3}", flops / 1e12);
    let TrainFlops { kept, dense } = summary.train_flops;
    lines.push(vec!["TFLOP of products, all steps".into(), tera(kept), tera(dense)]);
    let other = if summary.dense_counted.is_some() { "dense: counted" } else { "dense" };
    rows(&["ms a step", "this run", other], &lines)
}

/// One row a layer.
pub fn layers(summary: &Summary) -> String {
    let line = |layer: &crate::train::Layer| {
        vec![
            layer.name.clone(),
            layer.shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" x "),
            format!("{} / {}", layer.kept, layer.total),
            format!("{:.2} %", 100.0 * (1.0 - layer.kept as f64 / layer.total.max(1) as f64)),
            layer.storage.to_string(),
        ]
    };
    let lines: Vec<_> = summary.layers.iter().map(line).collect();
    rows(&["layer", "shape", "kept / total", "sparsity", "storage"], &lines)
}

/// A size for people: `2.1 MB`.
pub fn bytes(count: u64) -> String {
    match count {
        0..10_000 => format!("{count} B"),
        10_000..10_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        _ => format!("{:.1} MB", count as f64 / 1e6),
    }
}
