//! What pruning did to a run over time: kept weights, churn, and how much was explored, by layer.
//!
//! Churn is what an update flipped, over what is kept after it. R_s is the share of weights that were ever kept:
//! in-time over-parameterisation (Liu et al., 2021).

use std::path::Path;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::recipe::glob;
use crate::report::axis::Axis;
use crate::report::files::read_lines;
use crate::report::inspect::{new_table, percent, shape_text};
use crate::report::journal::Reader;
use crate::report::plot::{Plot, Series, Stroke, stairs};
use crate::train::LayerMask;
use crate::train::checkpoint;
use crate::train::layout::torch_shape;

/// Rows of a table over time; what lies between is summed up.
pub(super) const ROWS: usize = 20;
/// With more layers than this, a table over time has no column for each.
pub(super) const COLUMNS: usize = 6;

/// Masks after an update; of the first point, those of the start.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    pub step: u64,
    pub kept: usize,
    pub grown: usize,
    pub dropped: usize,
    /// `(grown + dropped) / kept`; 0 where nothing is kept.
    pub churn: f64,
    /// Weights that were ever kept.
    pub explored: usize,
    /// `explored` over all weights.
    pub r_s: f64,
}

impl Point {
    fn new(step: u64, total: usize, [kept, grown, dropped, explored]: [usize; 4]) -> Self {
        let churn = if kept == 0 { 0.0 } else { (grown + dropped) as f64 / kept as f64 };
        let r_s = explored as f64 / total.max(1) as f64;
        Self { step, kept, grown, dropped, churn, explored, r_s }
    }
}

/// One layer over time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerHistory {
    pub name: String,
    pub shape: Vec<usize>,
    pub total: usize,
    pub points: Vec<Point>,
}

/// The layers of a run over time, and their sums.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct History {
    pub schema: u32,
    /// Where the journal begins: 0, unless an earlier one was lost.
    pub first_step: u64,
    /// How far it is known: the last update, or the last checkpoint.
    pub last_step: u64,
    /// The first step of each stage, where the run has several.
    pub stages: Vec<u64>,
    pub layers: Vec<LayerHistory>,
    pub total: usize,
    pub all: Vec<Point>,
}

/// Reads the journal of the run in `folder`, of the layers that match. With it comes a warning where its end is cut
/// off.
///
/// # Errors
/// `Kind::Usage` where there is no journal or no such layer, `Kind::Checkpoint` where it is damaged.
pub fn history(folder: &Path, layer: Option<&str>) -> Result<(History, Option<Error>)> {
    let mut reader = Reader::open(folder)?;
    let chosen = matching(&reader.masks.layers, layer)?;
    let own = |i: &usize| -> &LayerMask { &reader.masks.layers[*i] };
    let mut layers: Vec<LayerHistory> = chosen
        .iter()
        .map(own)
        .map(|l| LayerHistory {
            name: l.name.clone(),
            shape: torch_shape(&l.shape),
            total: l.len(),
            points: vec![Point::new(reader.masks.step, l.len(), [l.kept(), 0, 0, l.explored()])],
        })
        .collect();
    let first_step = reader.masks.step;
    while let Some(flips) = reader.advance()? {
        for (history, &i) in layers.iter_mut().zip(&chosen) {
            let (mask, flips) = (&reader.masks.layers[i], &flips.layers[i]);
            let counts = [mask.kept(), flips.grown(), flips.dropped(), flips.explored];
            history.points.push(Point::new(reader.masks.step, history.total, counts));
        }
    }
    let total = layers.iter().map(|layer| layer.total).sum();
    let sum = |at: usize| {
        let of = |what: fn(&Point) -> usize| layers.iter().map(|layer| what(&layer.points[at])).sum();
        let counts = [of(|p| p.kept), of(|p| p.grown), of(|p| p.dropped), of(|p| p.explored)];
        Point::new(layers[0].points[at].step, total, counts)
    };
    let all: Vec<Point> = (0..layers[0].points.len()).map(sum).collect();
    let last_step = last_step(folder, reader.masks.step)?;
    let stages = stages(folder)?;
    Ok((History { schema: 1, first_step, last_step, stages, layers, total, all }, reader.warning()))
}

/// The first step of each stage of a run; nothing where it has one.
fn stages(folder: &Path) -> Result<Vec<u64>> {
    let path = folder.join("metrics.jsonl");
    let lines = if path.is_file() { read_lines(&path)? } else { Vec::new() };
    let begins = lines.iter().filter(|line| line["kind"] == "stage");
    Ok(begins.filter_map(|line| line["step"].as_u64()).collect())
}

/// The step of the last checkpoint, or that of the last update.
pub fn last_step(folder: &Path, update: u64) -> Result<u64> {
    Ok(checkpoint::list(folder)?.last().copied().unwrap_or(0).max(update))
}

/// Numbers of the layers that match: `fc*`, `fc1.weight`, or all.
pub fn matching(layers: &[LayerMask], pattern: Option<&str>) -> Result<Vec<usize>> {
    let fits = |name: &str| pattern.is_none_or(|p| glob(p, name) || glob(p, short(name)));
    let chosen: Vec<usize> = (0..layers.len()).filter(|&i| fits(&layers[i].name)).collect();
    if chosen.is_empty() {
        let what = pattern.map_or("the journal has no layers".into(), |p| format!("no layer matches {p:?}"));
        return Err(Error::usage(what).at(format!("there are: {}", listed(layers))));
    }
    Ok(chosen)
}

/// `fc1 (128 x 64), head (10 x 64)`.
pub fn listed(layers: &[LayerMask]) -> String {
    let one =
        |layer: &LayerMask| format!("{} ({})", short(&layer.name), shape_text(&torch_shape(&layer.shape)));
    layers.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// A layer's name on a picture: without `.weight`.
pub fn short(name: &str) -> &str {
    name.strip_suffix(".weight").unwrap_or(name)
}

/// At most `most` of `count` numbers, the first and the last among them.
pub fn shown(count: usize, most: usize) -> Vec<usize> {
    let rows = count.min(most);
    (0..rows).map(|row| if rows < 2 { 0 } else { row * (count - 1) / (rows - 1) }).collect()
}

impl History {
    /// Two tables for people: over time, and by layer.
    pub fn table(&self) -> String {
        let names: Vec<&str> = match self.layers.len() {
            2..=COLUMNS => self.layers.iter().map(|layer| short(&layer.name)).collect(),
            _ => Vec::new(),
        };
        let heads = ["step"].into_iter().chain(names.iter().copied());
        let heads = heads.chain(["kept", "sparsity", "grown", "dropped", "churn / update", "R_s"]);
        let mut table = new_table(heads, 0);
        let mut after = 0;
        for at in shown(self.all.len(), ROWS) {
            let point = &self.all[at];
            let updates = if at == 0 { &[][..] } else { &self.all[after + 1..=at] };
            let columns = names.iter().zip(&self.layers).map(|(_, layer)| layer.points[at].kept.to_string());
            let step = if at == 0 { "start".into() } else { point.step.to_string() };
            let mut row: Vec<String> = [step].into_iter().chain(columns).collect();
            row.push(point.kept.to_string());
            row.push(percent(1.0 - point.kept as f64 / self.total.max(1) as f64));
            row.extend(flipped(updates));
            row.push(percent(point.r_s));
            table.add_row(row);
            after = at;
        }
        format!("{table}\n{}{}", self.note(), self.by_layer())
    }

    fn note(&self) -> String {
        let updates = self.all.len() - 1;
        let mut text = match self.all.len() > ROWS {
            true => format!("{updates} updates, those between two rows summed up; --json has each\n"),
            false => String::new(),
        };
        if self.first_step > 0 {
            text += &format!("the journal begins at step {}: R_s counts from there\n", self.first_step);
        }
        if self.stages.len() > 1 {
            let steps: Vec<String> = self.stages.iter().map(u64::to_string).collect();
            text += &format!("stages begin at steps {}\n", steps.join(", "));
        }
        text
    }

    fn by_layer(&self) -> String {
        let heads =
            ["layer", "shape", "kept at first", "at last", "grown", "dropped", "churn / update", "R_s"];
        let mut table = new_table(heads.into_iter(), 2);
        let all = ("all", String::new(), &self.all);
        let layers =
            self.layers.iter().map(|layer| (short(&layer.name), shape_text(&layer.shape), &layer.points));
        for (name, shape, points) in layers.chain([all]) {
            let (first, last) = (&points[0], &points[points.len() - 1]);
            let mut row = vec![name.to_string(), shape, first.kept.to_string(), last.kept.to_string()];
            row.extend(flipped(&points[1..]));
            row.push(percent(last.r_s));
            table.add_row(row);
        }
        table.to_string()
    }

    /// Pictures by file name: kept weights, churn, R_s.
    pub fn plots(&self) -> Vec<(&'static str, Plot)> {
        let end = self.last_step as f64;
        let lines = |value: &dyn Fn(&Point, usize) -> f64| -> Vec<(String, Vec<(f64, f64)>)> {
            let line = |points: &[Point], total: usize| {
                points.iter().map(|p| (p.step as f64, 100.0 * value(p, total))).collect()
            };
            let own = |l: &LayerHistory| (short(&l.name).to_string(), line(&l.points, l.total));
            let all = ("all".to_string(), line(&self.all, self.total));
            self.layers.iter().map(own).chain((self.layers.len() > 1).then_some(all)).collect()
        };
        let series = |lines: Vec<(String, Vec<(f64, f64)>)>| -> Vec<Series> {
            let stroke = |i| if i == self.layers.len() { Stroke::Strong } else { Stroke::Plain };
            let one = |(i, (name, points)): (usize, _)| Series::new(name, i, points).stroke(stroke(i));
            lines.into_iter().enumerate().map(one).collect()
        };
        let over_time = |value: &dyn Fn(&Point, usize) -> f64| {
            lines(value).into_iter().map(|(name, points)| (name, stairs(&points, end))).collect()
        };
        let kept = series(over_time(&|p, total| p.kept as f64 / total.max(1) as f64));
        // Nothing flips before the first update.
        let mut churn = series(lines(&|p, _| p.churn));
        churn.iter_mut().for_each(|s| _ = s.points.remove(0));
        let explored = series(over_time(&|p, _| p.r_s));
        let wide = |s: &[Series]| {
            let values = || s.iter().flat_map(|s| &s.points).map(|p| p.1).filter(|v| *v > 0.0);
            values().fold(0.0, f64::max) > 20.0 * values().fold(f64::INFINITY, f64::min)
        };
        // Churn may be more than all that is kept.
        let plot = |title: &str, y: fn(&str) -> Axis, label: &str, series: Vec<Series>| {
            let y = if wide(&series) { Axis::log(label) } else { y(label) };
            Plot { title: title.into(), x: Axis::linear("training step"), y, series, bands: self.bands() }
        };
        vec![
            ("kept.svg", plot("Kept weights", Axis::percent, "kept weights (% of the layer)", kept)),
            (
                "churn.svg",
                plot(
                    "Churn: grown and dropped at an update",
                    Axis::linear,
                    "churn (% of kept weights)",
                    churn,
                ),
            ),
            (
                "explored.svg",
                plot("Weights ever kept (R_s)", Axis::percent, "R_s (% of the layer)", explored),
            ),
        ]
    }
}

impl History {
    /// Every second stage.
    fn bands(&self) -> Option<(String, Vec<(f64, f64)>)> {
        let ends = self.stages.iter().skip(1).chain([&self.last_step]);
        let spans = self.stages.iter().zip(ends).map(|(&begin, &end)| (begin as f64, end as f64));
        let shaded: Vec<(f64, f64)> = spans.skip(1).step_by(2).collect();
        let name = if shaded.len() > 1 { "every second stage" } else { "second stage" };
        (!shaded.is_empty()).then(|| (name.to_string(), shaded))
    }
}

/// Grown, dropped and the mean churn of some updates.
fn flipped(updates: &[Point]) -> [String; 3] {
    if updates.is_empty() {
        return ["-"; 3].map(String::from);
    }
    let sum = |what: fn(&Point) -> usize| updates.iter().map(what).sum::<usize>();
    let churn = updates.iter().map(|p| p.churn).sum::<f64>() / updates.len() as f64;
    [sum(|p| p.grown).to_string(), sum(|p| p.dropped).to_string(), percent(churn)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_layers(updates: usize) -> History {
        let layer = |name: &str, total: usize, dropped: usize| {
            let point = |i: usize| {
                let kept = total - i * dropped;
                Point::new(10 * i as u64, total, [kept, 0, if i == 0 { 0 } else { dropped }, total])
            };
            let points = (0..=updates).map(point).collect();
            LayerHistory { name: format!("{name}.weight"), shape: vec![1, total], total, points }
        };
        let layers = vec![layer("fc", 1000, 9), layer("head", 500, 1)];
        let sum = |i: usize| {
            let (a, b) = (&layers[0].points[i], &layers[1].points[i]);
            Point::new(a.step, 1500, [a.kept + b.kept, 0, a.dropped + b.dropped, 1500])
        };
        let all = (0..=updates).map(sum).collect();
        History { schema: 1, first_step: 0, last_step: 1200, stages: vec![0, 500], layers, total: 1500, all }
    }

    #[test]
    fn rows_are_few_and_sum_up_what_lies_between() {
        assert_eq!((shown(1, ROWS), shown(3, ROWS)), (vec![0], vec![0, 1, 2]));
        let rows = shown(101, ROWS);
        assert_eq!((rows.len(), rows[0], rows[19]), (ROWS, 0, 100));
        let history = two_layers(100);
        let table = history.table();
        // | step fc head kept sparsity % grown dropped churn % R_s % |
        let over_time = table.split("100 updates").next().unwrap();
        let words = over_time.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let dropped: Vec<usize> = words.filter_map(|row| row.get(8)?.parse().ok()).collect();
        assert_eq!((dropped.len(), dropped.iter().sum::<usize>()), (ROWS - 1, 1000), "{table}");
        assert!(table.contains("100 updates") && table.contains("| head"), "{table}");
        let last = table.lines().find(|line| line.starts_with("| all")).unwrap();
        assert!(last.contains("1000") && last.contains("100.00 %"), "{last}");
    }

    #[test]
    fn pictures_hold_every_layer_and_their_sum() {
        let plots = two_layers(30).plots();
        for (name, plot) in &plots {
            let names: Vec<&str> = plot.series.iter().map(|s| s.name.as_str()).collect();
            assert_eq!(names, ["fc", "head", "all"], "{name}");
            assert_eq!(plot.bands, Some(("second stage".into(), vec![(500.0, 1200.0)])), "{name}");
        }
        assert_eq!(plots[0].1.series[0].points.last(), Some(&(1200.0, 73.0)), "held to the end of the run");
        assert_eq!(plots[1].1.series[1].points.len(), 30, "the start is no update");
    }
}
