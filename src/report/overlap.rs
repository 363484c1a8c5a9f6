//! How far the masks of two runs agree over time, beside what two random masks would share.

use std::path::Path;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::report::axis::Axis;
use crate::report::diff::{by_chance, overlap};
use crate::report::fit::TextTable;
use crate::report::history::{COLUMNS, ROWS, last_step, listed, matching, short, shown};
use crate::report::inspect::{new_table, percent};
use crate::report::journal::Reader;
use crate::report::plot::{Plot, Series, Stroke, stairs};

/// Agreement of one layer's masks at a step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    pub step: u64,
    /// Kept by the first run, by the second, and by both.
    pub first: usize,
    pub second: usize,
    pub both: usize,
    /// Kept in both over kept in either.
    pub overlap: f64,
    /// The same of two random masks that keep as many.
    pub by_chance: f64,
}

impl Point {
    fn cell(&self) -> String {
        format!("{} ({})", percent(self.overlap), percent(self.by_chance))
    }
}

/// Agreement of one layer's masks over time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerOverlap {
    pub name: String,
    pub total: usize,
    pub points: Vec<Point>,
}

/// Agreement of two runs over time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overlap {
    pub schema: u32,
    pub last_step: u64,
    pub layers: Vec<LayerOverlap>,
    /// Layers that only one run has, or that differ in shape.
    pub not_compared: Vec<String>,
}

/// Compares the masks of two runs at every step where either updates them. With it come warnings about journals
/// whose end is cut off.
///
/// # Errors
/// `Kind::Usage` where they have no layer in common, and those of [`Reader::open`].
pub fn compare(first: &Path, second: &Path, layer: Option<&str>) -> Result<(Overlap, Vec<Error>)> {
    let (mut a, mut b) = (Reader::open(first)?, Reader::open(second)?);
    let (mut pairs, mut layers, mut not_compared) = (Vec::new(), Vec::new(), Vec::new());
    for i in matching(&a.masks.layers, layer)? {
        let own = &a.masks.layers[i];
        match b.masks.layers.iter().position(|other| (&other.name, &other.shape) == (&own.name, &own.shape)) {
            Some(j) => {
                pairs.push((i, j));
                layers.push(LayerOverlap { name: own.name.clone(), total: own.len(), points: Vec::new() });
            }
            None => not_compared.push(own.name.clone()),
        }
    }
    if pairs.is_empty() {
        return Err(Error::usage("the runs have no layer of the same name and shape")
            .at(format!("{}: {}", first.display(), listed(&a.masks.layers)))
            .at(format!("{}: {}", second.display(), listed(&b.masks.layers))));
    }
    // Before the later of the two begins there is nothing to compare.
    let mut step = a.masks.step.max(b.masks.step);
    loop {
        for reader in [&mut a, &mut b] {
            while reader.next_step().is_some_and(|next| next <= step) {
                reader.advance()?;
            }
        }
        for (layer, &(i, j)) in layers.iter_mut().zip(&pairs) {
            let (x, y) = (&a.masks.layers[i], &b.masks.layers[j]);
            let (both, either) = x.overlap(y).ok_or_else(|| Error::internal("shapes were compared"))?;
            let (first, second) = (x.kept(), y.kept());
            let by_chance = by_chance(first, second, layer.total);
            layer.points.push(Point { step, first, second, both, overlap: overlap(both, either), by_chance });
        }
        match [a.next_step(), b.next_step()].into_iter().flatten().min() {
            Some(next) => step = next,
            None => break,
        }
    }
    let last_step = last_step(first, step)?.max(last_step(second, step)?);
    let warn = |reader: &Reader, folder: &Path| reader.warning().map(|e| e.at(folder.display().to_string()));
    let warnings = [warn(&a, first), warn(&b, second)].into_iter().flatten().collect();
    Ok((Overlap { schema: 1, last_step, layers, not_compared }, warnings))
}

impl Overlap {
    /// A table for people: a column for each layer, or, where layers are many, a row for each.
    pub fn table(&self) -> String {
        let table = if self.layers.len() > COLUMNS { self.by_layer() } else { self.by_step() };
        let mut text = format!(
            "{table}\nkept in both runs, of those kept in either (in brackets: by random masks of these sizes)"
        );
        if !self.not_compared.is_empty() {
            text +=
                &format!("\nnot compared, being absent or of another shape: {}", self.not_compared.join(" "));
        }
        text
    }

    fn by_step(&self) -> TextTable {
        let heads = ["step"].into_iter().chain(self.layers.iter().map(|layer| short(&layer.name)));
        let mut table = new_table(heads, 0);
        for at in shown(self.layers[0].points.len(), ROWS) {
            let cells = self.layers.iter().map(|layer| layer.points[at].cell());
            table.add_row([self.layers[0].points[at].step.to_string()].into_iter().chain(cells));
        }
        table
    }

    fn by_layer(&self) -> TextTable {
        let points = &self.layers[0].points;
        let steps = shown(points.len(), COLUMNS);
        let heads: Vec<String> = steps.iter().map(|&at| format!("step {}", points[at].step)).collect();
        let mut table = new_table(["layer"].into_iter().chain(heads.iter().map(String::as_str)), 1);
        for layer in &self.layers {
            let cells = steps.iter().map(|&at| layer.points[at].cell());
            table.add_row([short(&layer.name).to_string()].into_iter().chain(cells));
        }
        table
    }

    /// The picture: a line for each layer, and a dashed one for chance.
    pub fn plot(&self) -> Plot {
        let mut series = Vec::new();
        for (i, layer) in self.layers.iter().enumerate() {
            let line = |value: fn(&Point) -> f64| {
                let points: Vec<(f64, f64)> =
                    layer.points.iter().map(|p| (p.step as f64, 100.0 * value(p))).collect();
                stairs(&points, self.last_step as f64)
            };
            let name = short(&layer.name);
            series.push(Series::new(name, i, line(|p| p.overlap)));
            let chance = Series::new(format!("{name}, by chance"), i, line(|p| p.by_chance));
            series.push(chance.stroke(Stroke::Dashed));
        }
        Plot {
            title: "Overlap of the masks of two runs".into(),
            x: Axis::linear("training step"),
            y: Axis::linear("kept in both (% of kept in either)"),
            series,
            bands: None,
        }
    }
}
