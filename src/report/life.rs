//! The life of one weight: when it was kept, dropped and grown, and its value wherever one was saved.

use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::report::axis::Axis;
use crate::report::dump;
use crate::report::history::{last_step, listed, matching, short};
use crate::report::inspect::{new_table, number, percent, shape_text};
use crate::report::journal::Reader;
use crate::report::plot::{Plot, Series};
use crate::store::Arrays;
use crate::train::checkpoint::{self, Which};
use crate::train::layout;

/// Something that happened to a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// In the masks of the start.
    Kept,
    Pruned,
    Grown,
    Dropped,
}

/// When something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Turn {
    pub step: u64,
    pub what: What,
}

/// A saved value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Value {
    /// Steps done.
    pub step: u64,
    /// `checkpoint` or `dump`.
    pub from: &'static str,
    pub value: f32,
    pub kept: bool,
}

/// The life of one weight.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Life {
    pub schema: u32,
    pub name: String,
    pub shape: Vec<usize>,
    pub index: Vec<usize>,
    pub first_step: u64,
    pub last_step: u64,
    /// Steps in which it was kept, of those from `first_step` to `last_step`.
    pub kept_steps: u64,
    pub turns: Vec<Turn>,
    pub values: Vec<Value>,
}

/// Follows `weight`, such as `fc1[12,345]`, through the run in `folder`. With it come warnings about what could not be
/// read.
///
/// # Errors
/// `Kind::Usage` where there is no such weight, with the layers and shapes that there are; those of [`Reader::open`].
pub fn life(folder: &Path, weight: &str) -> Result<(Life, Vec<Error>)> {
    let mut reader = Reader::open(folder)?;
    let (layer, index) = parse(weight)?;
    let layers = &reader.masks.layers;
    let number = match matching(layers, Some(layer))?[..] {
        [number] => number,
        _ => {
            return Err(Error::usage(format!("{layer:?} is several layers"))
                .at(format!("there are: {}", listed(layers))));
        }
    };
    let name = layers[number].name.clone();
    let shape = layout::torch_shape(&layers[number].shape);
    let fits = index.len() == shape.len() && index.iter().zip(&shape).all(|(i, extent)| i < extent);
    if !fits {
        return Err(Error::usage(format!("there is no weight {weight}"))
            .at(format!("`{name}` is {}, counted from 0", shape_text(&shape))));
    }
    let flat = flat_index(&layout::device_index(&index), &layers[number].shape);

    let first_step = reader.masks.step;
    let mut kept = layers[number].keeps(flat);
    let mut turns = vec![Turn { step: first_step, what: if kept { What::Kept } else { What::Pruned } }];
    while reader.advance()?.is_some() {
        let now = reader.masks.layers[number].keeps(flat);
        if now != kept {
            let what = if now { What::Grown } else { What::Dropped };
            turns.push(Turn { step: reader.masks.step, what });
        }
        kept = now;
    }
    let last_step = last_step(folder, reader.masks.step)?;
    let mut life = Life {
        schema: 1,
        name,
        shape,
        index,
        first_step,
        last_step,
        kept_steps: 0,
        turns,
        values: Vec::new(),
    };
    life.kept_steps = life.spans().iter().map(|(from, to)| to - from).sum();
    let mut warnings: Vec<Error> = reader.warning().into_iter().collect();
    life.values = values(folder, &life, &mut warnings)?;
    Ok((life, warnings))
}

/// Layer and numbers of `fc1[12,345]`.
fn parse(weight: &str) -> Result<(&str, Vec<usize>)> {
    let parts = weight.trim().strip_suffix(']').and_then(|text| text.split_once('['));
    let numbers = parts.and_then(|(layer, index)| {
        let index: Option<Vec<usize>> = index.split(',').map(|i| i.trim().parse().ok()).collect();
        Some((layer, index?))
    });
    numbers.ok_or_else(|| {
        Error::usage(format!("{weight:?} does not name a weight"))
            .at("expected: a layer, and row (output) and column (input), counted from 0")
            .at("of a convolution: output channel, input channel, row and column of the kernel")
            .hint("--weight 'fc1[12,345]' or 'conv1[5,0,2,1]'")
    })
}

fn flat_index(index: &[usize], shape: &[usize]) -> usize {
    index.iter().zip(shape).fold(0, |flat, (i, extent)| flat * extent + i)
}

/// The value in every checkpoint and dump that can be read, by step.
fn values(folder: &Path, life: &Life, warnings: &mut Vec<Error>) -> Result<Vec<Value>> {
    let flat = flat_index(&life.index, &life.shape);
    let mut saved: Vec<(u64, &'static str, Result<Arrays>)> = Vec::new();
    for step in checkpoint::list(folder)? {
        let arrays = checkpoint::load(folder, Which::Step(step)).and_then(|(snapshot, _)| snapshot.dense());
        saved.push((step, "checkpoint", arrays));
    }
    let dumps = fs::read_dir(folder.join("dumps")).into_iter().flatten().flatten();
    for path in dumps.map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if let Some(step) = name.strip_prefix("step-").and_then(|step| step.parse().ok()) {
            saved.push((step, "dump", dump::read(&path)));
        }
    }
    saved.sort_by_key(|(step, from, _)| (*step, *from));
    let mut values = Vec::new();
    for (step, from, arrays) in saved {
        match arrays {
            Ok(arrays) => {
                let array = arrays.get(&life.name).filter(|array| array.shape == life.shape);
                let value = array.map(|array| array.to_f32()[flat]);
                values.extend(value.map(|value| Value { step, from, value, kept: life.kept_after(step) }));
            }
            Err(error) => warnings.push(error),
        }
    }
    Ok(values)
}

impl Life {
    /// Steps in which it was kept: from the first to before the second of each pair.
    pub fn spans(&self) -> Vec<(u64, u64)> {
        let ends = self.turns.iter().skip(1).map(|turn| turn.step).chain([self.last_step]);
        let kept = |turn: &Turn| matches!(turn.what, What::Kept | What::Grown);
        self.turns
            .iter()
            .zip(ends)
            .filter(|(turn, _)| kept(turn))
            .map(|(turn, end)| (turn.step, end))
            .collect()
    }

    /// Whether it is kept after so many steps. An update belongs to the step that it precedes.
    fn kept_after(&self, steps: u64) -> bool {
        let turn = self.turns.iter().skip(1).rfind(|turn| turn.step < steps).unwrap_or(&self.turns[0]);
        matches!(turn.what, What::Kept | What::Grown)
    }

    fn title(&self) -> String {
        let index: Vec<String> = self.index.iter().map(usize::to_string).collect();
        format!("{}[{}]", short(&self.name), index.join(","))
    }

    /// A table for people, in the order of steps.
    pub fn table(&self) -> String {
        let mut rows: Vec<(u64, String, String)> = Vec::new();
        for turn in &self.turns {
            let what = match turn.what {
                What::Kept => "kept from the start",
                What::Pruned => "pruned from the start",
                What::Grown => "grown",
                What::Dropped => "dropped",
            };
            rows.push((turn.step, what.into(), String::new()));
        }
        for value in &self.values {
            let text = match (value.kept, value.value) {
                (true, value) => number(value.into()),
                (false, 0.0) => "pruned".into(),
                (false, latent) => format!("{} behind the mask", number(latent.into())),
            };
            rows.push((value.step, format!("value in a {}", value.from), text));
        }
        // What was saved after so many steps stands before the update of the next step.
        rows[1..].sort_by_key(|(step, what, _)| (*step, !what.starts_with("value")));
        let mut table = new_table(["step", "what", "value"].into_iter(), 2);
        for (step, what, value) in rows {
            table.add_row([step.to_string(), what, value]);
        }
        let steps = self.last_step - self.first_step;
        let share = percent(self.kept_steps as f64 / steps.max(1) as f64);
        format!(
            "{} of {}: kept in {} of {steps} steps, {share}\n{table}",
            self.title(),
            shape_text(&self.shape),
            self.kept_steps
        )
    }

    /// The picture: its saved values, over the steps in which it was kept.
    pub fn plot(&self) -> Plot {
        // A pruned weight has no value, unless one lives on behind the mask; and a new one begins a new line.
        let lives = |v: &Value| if v.kept || v.value != 0.0 { f64::from(v.value) } else { f64::NAN };
        let mut points: Vec<(f64, f64)> = Vec::new();
        let mut before = 0;
        for value in &self.values {
            if self.turns.iter().skip(1).any(|turn| (before..value.step).contains(&turn.step)) {
                points.push((before as f64, f64::NAN));
            }
            points.push((value.step as f64, lives(value)));
            before = value.step;
        }
        let spans = self.spans().into_iter().map(|(from, to)| (from as f64, to as f64)).collect();
        // The whole run is shown, whatever was saved of it.
        let (first, last) = (self.first_step as f64, self.last_step as f64);
        let zero = Series::new("zero", 6, vec![(first, 0.0), (last, 0.0)]);
        Plot {
            title: format!("The life of weight {}", self.title()),
            x: Axis::linear("training step"),
            y: Axis::linear("value"),
            series: vec![zero, Series::new("saved value", 0, points).dots()],
            bands: Some(("kept".into(), spans)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn weights_are_named_by_layer_row_and_column() {
        assert_eq!(parse("fc1[12,345]").unwrap(), ("fc1", vec![12, 345]));
        assert_eq!(parse(" fc1.weight[0, 7]").unwrap(), ("fc1.weight", vec![0, 7]));
        for wrong in ["fc1", "fc1[", "fc1[]", "fc1[1,-2]", "fc1[1;2]", "[1,2", "fc1[a,b]"] {
            let error = parse(wrong).unwrap_err();
            assert_eq!(error.kind, Kind::Usage, "{wrong}");
            assert!(error.to_string().contains("fc1[12,345]"), "{error}");
        }
    }

    #[test]
    fn steps_are_counted_from_an_update_to_before_the_next() {
        let turns = [(0, What::Pruned), (10, What::Grown), (30, What::Dropped), (70, What::Grown)];
        let turns = turns.map(|(step, what)| Turn { step, what }).to_vec();
        let (name, shape, index) = ("fc.weight".to_string(), vec![2, 3], vec![1, 2]);
        let (first_step, last_step, kept_steps, values) = (0, 100, 50, Vec::new());
        let life = Life { schema: 1, name, shape, index, first_step, last_step, kept_steps, turns, values };
        assert_eq!(life.spans(), [(10, 30), (70, 100)]);
        // After 10 steps the update of step 10 has not been yet; after 11 it has.
        let kept: Vec<bool> = [0, 10, 11, 30, 31, 70, 71, 100].map(|steps| life.kept_after(steps)).to_vec();
        assert_eq!(kept, [false, false, true, true, false, false, true, true]);
        assert!(life.table().starts_with("fc[1,2] of 2 x 3: kept in 50 of 100 steps, 50.00 %"));
    }
}
