//! What the runs of a sweep came to: means and spreads as a table, Markdown, CSV and JSON.

use serde_json::{Value, json};

use crate::report::table;

/// The runs of one row, by seed: each the run's `report.json`, or `None` where its numbers were not finite.
pub struct Row {
    pub label: String,
    pub seeds: Vec<u64>,
    pub reports: Vec<Option<Value>>,
}

/// Figures of a report that are columns of the CSV and statistics of the JSON.
const FIGURES: [(&str, &str); 22] = [
    ("test_accuracy", "/test_accuracy"),
    ("test_nll", "/test_nll"),
    ("test_ece", "/test_ece"),
    ("test_aurc", "/test_aurc"),
    ("test_e_aurc", "/test_e_aurc"),
    ("sparsity", "/sparsity"),
    ("kept", "/kept"),
    ("total", "/total"),
    ("ms_per_step", "/ms_per_step/total"),
    ("dense_ms_per_step", "/dense/ms_per_step/total"),
    ("seconds", "/seconds"),
    ("stored_bytes", "/stored_bytes"),
    ("peak_device_bytes", "/peak_device_bytes"),
    ("train_flops", "/train_flops/kept"),
    ("dense_train_flops", "/train_flops/dense"),
    ("gradient_variance_of_layers", "/noise/variance/of_layers"),
    ("gradient_variance_of_weights", "/noise/variance/of_weights"),
    ("second_variance_of_layers", "/noise/second_variance/of_layers"),
    ("second_variance_of_weights", "/noise/second_variance/of_weights"),
    ("perplexity", "/language/perplexity"),
    ("bits_per_byte", "/language/bits_per_byte"),
    ("exact", "/language/exact"),
];

/// Mean, sample standard deviation (0 of a single one), least and largest.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Spread {
    pub mean: f64,
    pub deviation: f64,
    pub least: f64,
    pub most: f64,
}

impl Spread {
    pub fn of(all: &[f64]) -> Option<Self> {
        let n = all.len() as f64;
        let mean = all.iter().sum::<f64>() / n;
        let squares: f64 = all.iter().map(|x| (x - mean).powi(2)).sum();
        let deviation = if all.len() > 1 { (squares / (n - 1.0)).sqrt() } else { 0.0 };
        let least = all.iter().copied().min_by(f64::total_cmp)?;
        let most = all.iter().copied().max_by(f64::total_cmp)?;
        Some(Self { mean, deviation, least, most })
    }
}

impl Row {
    fn spread(&self, pointer: &str) -> Option<Spread> {
        let all: Vec<f64> =
            self.reports.iter().flatten().filter_map(|report| report.pointer(pointer)?.as_f64()).collect();
        Spread::of(&all)
    }

    fn is_language(&self) -> bool {
        self.reports.iter().flatten().any(|report| report["language"].is_object())
    }
    /// The figure that runs are judged by: accuracy, or the loss of what is asked for the next token.
    fn judged(&self) -> &'static str {
        if self.is_language() { "/test_loss" } else { "/test_accuracy" }
    }
    fn judgement(&self, x: f64) -> String {
        if self.is_language() { format!("{x:.4}") } else { percent(x) }
    }
    fn deviation(&self, x: f64) -> String {
        if self.is_language() { format!("{x:.4}") } else { format!("{:.2}", x * 100.0) }
    }

    /// What comes after the seeds, by column. `None` where no run has it.
    fn figures(&self) -> Vec<(&'static str, Option<String>)> {
        let of = |pointer: &str, write: &dyn Fn(Spread) -> String| self.spread(pointer).map(write);
        // Counts and sizes are mostly the same for all seeds.
        let same = |spread: Spread, write: &dyn Fn(f64) -> String| match spread.least == spread.most {
            true => write(spread.mean),
            false => format!("{}..{}", write(spread.least), write(spread.most)),
        };
        let whole = |x: f64| thousands(x as u64);
        let bytes = |x: f64| table::bytes(x as u64);
        let tera = |x: f64| format!("{:.3}", x / 1e12);
        let small = |s: Spread| format!("{:.2e}", s.mean);
        let kept = of("/kept", &|s| same(s, &whole)).zip(of("/total", &|s| same(s, &whole)));
        let judged = self.judged();
        vec![
            ("mean", of(judged, &|s| self.judgement(s.mean))),
            ("sd", of(judged, &|s| self.deviation(s.deviation))),
            ("perplexity", of("/language/perplexity", &|s| format!("{:.3}", s.mean))),
            ("bits a byte", of("/language/bits_per_byte", &|s| format!("{:.3}", s.mean))),
            ("exact", of("/language/exact", &|s| percent(s.mean))),
            ("NLL", of("/test_nll", &|s| format!("{:.4}", s.mean))),
            ("ECE", of("/test_ece", &|s| percent(s.mean))),
            ("AURC", of("/test_aurc", &|s| format!("{:.2}e-3", s.mean * 1e3))),
            ("kept / total weights", kept.map(|(kept, total)| format!("{kept} / {total}"))),
            ("stored", of("/stored_bytes", &|s| same(s, &bytes))),
            ("peak on device", of("/peak_device_bytes", &|s| bytes(s.most))),
            ("ms / step", of("/ms_per_step/total", &|s| format!("{:.2}", s.mean))),
            ("dense, ms / step", of("/dense/ms_per_step/total", &|s| format!("{:.2}", s.mean))),
            ("training", of("/seconds", &|s| format!("{:.1} s", s.mean))),
            ("TFLOP of products", of("/train_flops/kept", &|s| same(s, &tera))),
            ("variance of abs(g), by layer", of("/noise/variance/of_layers", &small)),
            ("by weight", of("/noise/variance/of_weights", &small)),
            ("of the second moment, by layer", of("/noise/second_variance/of_layers", &small)),
            ("by weight", of("/noise/second_variance/of_weights", &small)),
        ]
    }
}

fn percent(x: f64) -> String {
    format!("{:.2} %", x * 100.0)
}

/// Header and rows. Mean and spread are there always, another column only where some run has it.
fn sheet(seeds: &[u64], rows: &[Row]) -> (Vec<String>, Vec<Vec<String>>) {
    let figures: Vec<_> = rows.iter().map(Row::figures).collect();
    let has = |column: usize| column < 2 || figures.iter().any(|row| row[column].1.is_some());
    let columns: Vec<usize> =
        (0..figures.first().map_or(0, Vec::len)).filter(|&column| has(column)).collect();
    let mut header = vec!["recipe".to_string()];
    header.extend(seeds.iter().map(|seed| format!("seed {seed}")));
    header.extend(columns.iter().map(|&column| figures[0][column].0.to_string()));
    let seed = |row: &Row, report: &Option<Value>| {
        let found = report.as_ref().and_then(|report| report.pointer(row.judged())?.as_f64());
        found.map_or("not finite".to_string(), |figure| row.judgement(figure))
    };
    let line = |(row, figures): (&Row, &Vec<(&str, Option<String>)>)| {
        let mut cells = vec![row.label.clone()];
        cells.extend(row.reports.iter().map(|report| seed(row, report)));
        cells.extend(columns.iter().map(|&column| figures[column].1.clone().unwrap_or("-".into())));
        cells
    };
    (header, rows.iter().zip(&figures).map(line).collect())
}

/// For a terminal.
pub fn text(seeds: &[u64], rows: &[Row]) -> String {
    let (header, lines) = sheet(seeds, rows);
    table::rows(&header.iter().map(String::as_str).collect::<Vec<_>>(), &lines)
}

/// As docs/results.md has it: names in code, means in bold.
pub fn markdown(seeds: &[u64], rows: &[Row]) -> String {
    let (header, rows) = sheet(seeds, rows);
    let mean = 1 + seeds.len();
    let line = |cells: &[String]| format!("| {} |", cells.join(" | "));
    let mut lines = vec![line(&header), format!("|{}", "---|".repeat(header.len()))];
    for row in rows {
        let mut cells: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
        cells[0] = format!("`{}`", cells[0]);
        cells[mean] = format!("**{}**", cells[mean]);
        lines.push(line(&cells));
    }
    lines.join("\n")
}

/// One line a run.
pub fn csv(rows: &[Row]) -> String {
    let quote = |text: &str| {
        let needs = text.contains([',', '"', '\n']);
        if needs { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_string() }
    };
    let mut lines =
        vec![format!("recipe,seed,{},adapter,backend,digest,run", FIGURES.map(|(name, _)| name).join(","))];
    for row in rows {
        for (seed, report) in row.seeds.iter().zip(&row.reports) {
            let get = |pointer: &str| match report.as_ref().and_then(|report| report.pointer(pointer)) {
                Some(Value::String(text)) => quote(text),
                Some(Value::Null) | None => String::new(),
                Some(number) => number.to_string(),
            };
            let mut cells = vec![quote(&row.label), seed.to_string()];
            cells.extend(FIGURES.iter().map(|(_, pointer)| get(pointer)));
            cells.extend(["/adapter", "/backend", "/digest", "/run"].map(get));
            lines.push(cells.join(","));
        }
    }
    lines.join("\n") + "\n"
}

/// Statistics of each row, and the reports of its runs.
pub fn json(rows: &[Row]) -> Value {
    let row = |row: &Row| {
        let figures = FIGURES.map(|(name, pointer)| (name.to_string(), json!(row.spread(pointer))));
        let mut object = serde_json::Map::from_iter([("recipe".to_string(), json!(row.label))]);
        object.extend(figures);
        object.insert("seeds".into(), json!(row.seeds));
        object.insert("runs".into(), json!(row.reports));
        Value::Object(object)
    };
    json!({ "schema": 1, "rows": rows.iter().map(row).collect::<Vec<_>>() })
}

/// `668672` as `668,672`.
fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(accuracy: f64, kept: u64) -> Option<Value> {
        Some(json!({ "test_accuracy": accuracy, "kept": kept, "total": 1000, "seconds": 2.0, "run": "a,b",
            "ms_per_step": { "total": 1.5 }, "stored_bytes": 10, "peak_device_bytes": 20, "dense": null }))
    }

    #[test]
    fn spreads_are_those_of_samples() {
        let spread = Spread::of(&[0.5, 0.7, 0.9]).unwrap();
        assert!((spread.mean - 0.7).abs() <= 1e-12 && (spread.deviation - 0.2).abs() <= 1e-12, "{spread:?}");
        assert_eq!((spread.least, spread.most), (0.5, 0.9));
        assert_eq!(Spread::of(&[3.0]).unwrap().deviation, 0.0);
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn a_row_is_the_same_in_every_form() {
        let reports = vec![report(0.5, 100), report(0.75, 100), None];
        let rows = [Row { label: "r -s x=1,2".into(), seeds: vec![1, 2, 3], reports }];
        let table = markdown(&[1, 2, 3], &rows);
        let cells: Vec<&str> = table.lines().nth(2).unwrap().split(" | ").collect();
        assert_eq!(
            cells[..6],
            ["| `r -s x=1,2`", "50.00 %", "75.00 %", "not finite", "**62.50 %**", "17.68"],
            "{table}"
        );
        assert!(table.contains("| 17.68 | 100 / 1,000 | 10 B |"), "no run has NLL and ECE: {table}");
        assert!(!table.contains("NLL") && !table.contains("abs(g)"), "{table}");
        assert!(text(&[1, 2, 3], &rows).contains("62.50 %"));
        let lines = csv(&rows);
        assert!(lines.lines().nth(1).unwrap().starts_with("\"r -s x=1,2\",1,0.5,,,"), "{lines}");
        assert!(lines.lines().nth(1).unwrap().ends_with("\"a,b\""), "{lines}");
        assert_eq!(
            lines
                .lines()
                .map(|line| line.matches(',').count()
                    - line.matches("1,2").count()
                    - line.matches("a,b").count())
                .max(),
            Some(2 + FIGURES.len() + 4 - 1)
        );
        let found = json(&rows);
        assert_eq!(found["rows"][0]["test_accuracy"]["mean"], 0.625);
        assert_eq!(found["rows"][0]["test_nll"], Value::Null);

        // What one run has is a column of all.
        let mut noisy = report(0.5, 100).unwrap();
        noisy["noise"] = json!({ "variance": { "of_layers": 4.26e-6, "of_weights": 4.5e-6 } });
        noisy["train_flops"] = json!({ "kept": 1.5e12, "dense": 3e12 });
        noisy["test_aurc"] = json!(0.0123);
        let row = |report| Row { label: "r".into(), seeds: vec![1], reports: vec![report] };
        let rows = [row(report(0.5, 100)), row(Some(noisy))];
        let table = markdown(&[1], &rows);
        let found: Vec<Vec<&str>> =
            table.lines().map(|line| line.trim_matches(['|', ' ']).split(" | ").collect()).collect();
        let ends: [Vec<&str>; 3] = [0, 2, 3].map(|line| found[line][found[line].len() - 3..].to_vec());
        assert_eq!(ends[0], ["TFLOP of products", "variance of abs(g), by layer", "by weight"], "{table}");
        assert_eq!((&ends[1][..], &ends[2][..]), (&["-"; 3][..], &["1.500", "4.26e-6", "4.50e-6"][..]));
        assert!(table.contains("| AURC |") && table.contains("| 12.30e-3 |"), "{table}");
        assert_eq!(json(&rows)["rows"][1]["gradient_variance_of_weights"]["mean"], 4.5e-6);
        assert_eq!(thousands(668_672), "668,672");
        assert_eq!((thousands(12), thousands(1_000)), ("12".into(), "1,000".into()));
    }
}
