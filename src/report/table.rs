//! Tables of results, the dense baseline in the same row order as the sparse run.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::train::Summary;

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::ASCII_BORDERS_ONLY_CONDENSED)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    for column in 1..header.len() {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A table from rows of cells: the first column is text, the others are numbers.
pub fn rows(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = table(header);
    table.add_rows(rows);
    table.to_string()
}

/// One row a run.
pub fn summaries(runs: &[(&str, &Summary)]) -> String {
    let header =
        ["run", "test accuracy", "kept / total weights", "stored", "peak on device", "ms / step", "training"];
    let line = |(name, s): &(&str, &Summary)| {
        vec![
            name.to_string(),
            format!("{:.2} %", s.test_accuracy * 100.0),
            format!("{} / {}", s.kept, s.total),
            bytes(s.stored_bytes),
            bytes(s.peak_device_bytes),
            format!("{:.3}", s.ms_per_step.get("total").copied().unwrap_or(0.0)),
            format!("{:.1} s", s.seconds),
        ]
    };
    rows(&header, &runs.iter().map(line).collect::<Vec<_>>())
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
