//! `coppice data`: what a recipe trains on, in numbers and as a picture.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Device, RecipeArgs, drive, print_json, say};
use crate::data::{Dataset, Samples, Split};
use crate::error::{Error, Result};
use crate::recipe::Recipe;
use crate::report::{sheet, table};
use crate::train::shown;

#[derive(clap::Args)]
pub struct Data {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Show the data of a recipe: parts, classes, scale; with --png, samples as training sees them
    Show(Box<Show>),
}

#[derive(clap::Args)]
struct Show {
    #[command(flatten)]
    recipe: RecipeArgs,
    /// Draw training samples: plain, and as four epochs augment them
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,
    /// The first of these epochs, from 0
    #[arg(long, value_name = "N", default_value_t = 0, requires = "png")]
    epoch: u64,
    #[command(flatten)]
    device: Device,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Samples and epochs on a sheet.
const SAMPLES: usize = 10;
const EPOCHS: u64 = 4;
/// Classes that a table names.
const CLASSES: usize = 30;
/// Channels whose means and deviations are written out.
const CHANNELS: usize = 4;

impl Data {
    pub fn run(&self) -> Result<()> {
        match &self.what {
            What::Show(show) => show.run(),
        }
    }
}

impl Show {
    fn run(&self) -> Result<()> {
        let recipe = self.recipe.read()?;
        let data = drive::data(&recipe)?;
        let warnings = data.warnings();
        for warning in &warnings {
            eprintln!("warning: {warning}");
        }
        if let Some(path) = &self.png {
            self.draw(&recipe, &data, path)?;
        }
        let parts = [("train", &data.train), ("validation", &data.validation), ("test", &data.test)];
        let counts = |split: &Split| {
            let mut counts = vec![0usize; data.classes];
            split.labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
            counts
        };
        if self.json {
            let of = |count: &dyn Fn(&Split) -> serde_json::Value| -> serde_json::Map<_, _> {
                parts.iter().map(|(name, split)| (name.to_string(), count(split))).collect()
            };
            return print_json(&json!({
                "schema": 1, "data": data.name, "origin": data.origin, "data_hash": data.hash,
                "shape": data.shape, "classes": data.classes, "class_names": data.class_names,
                "samples": of(&|split| json!(split.len())), "by_class": of(&|split| json!(counts(split))),
                "scale": data.scale, "shift": data.shift, "picture": self.png,
                "longest": longest(&data).map(|[source, target]| json!({ "source": source, "target": target })),
                "warnings": warnings.iter().map(|warning| warning.what()).collect::<Vec<_>>(),
            }));
        }
        say(&format!("{}, from {}", data.name, data.origin))?;
        if let Some(vocabulary) = data.vocabulary() {
            say(&format!(
                "a sample is {} tokens of {vocabulary}, asked for {} more",
                data.features(),
                data.labels()
            ))?;
            if let Some([source, target]) = longest(&data) {
                say(&format!(
                    "the longest source has {source} tokens, the longest target {target} and its end"
                ))?;
            }
            let parts = parts.map(|(_, split)| split);
            let tokens = |split: &Split| split.tokens().map_or(0, |tokens| tokens.stream.len());
            let row = |name: &str, count: &dyn Fn(&Split) -> usize| {
                std::iter::once(name.to_string()).chain(parts.map(|split| count(split).to_string())).collect()
            };
            let rows = [row("samples", &Split::len), row("tokens", &tokens)];
            say(&table::rows(&["", "train", "validation", "test"], &rows))?;
            return say(&format!("SHA-256  {}", data.hash));
        }
        let kind = if matches!(data.train.images, Samples::Bytes(_)) { "bytes" } else { "floats" };
        say(&format!("a sample is {:?}, {kind}; {} classes", data.shape, data.classes))?;
        say(&format!("a network reads {}", normalised(&data)))?;
        let by_part = parts.map(|(_, split)| counts(split));
        let row = |name: String, count: &dyn Fn(usize) -> usize| -> Vec<String> {
            std::iter::once(name).chain((0..3).map(|part| count(part).to_string())).collect()
        };
        let mut rows: Vec<_> = (0..data.classes.min(CLASSES))
            .map(|class| row(data.class_name(class), &|part| by_part[part][class]))
            .collect();
        if data.classes > CLASSES {
            let more = format!("{} more classes", data.classes - CLASSES);
            rows.push(row(more, &|part| by_part[part][CLASSES..].iter().sum()));
        }
        rows.push(row("all".into(), &|part| parts[part].1.len()));
        say(&table::rows(&["class", "train", "validation", "test"], &rows))?;
        say(&format!("SHA-256  {}", data.hash))?;
        match &self.png {
            Some(path) => say(&format!("picture  {}", path.display())),
            None => Ok(()),
        }
    }

    /// A sheet of samples of all classes in turn: as they are, and below that as epochs vary them.
    fn draw(&self, recipe: &Recipe, data: &Dataset, path: &Path) -> Result<()> {
        let [channels, height, width] = data.shape[..] else {
            return Err(Error::usage(format!("samples of data set `{}` are no pictures", data.name))
                .at(format!("expected: (channels, height, width); found: {:?}", data.shape))
                .hint("leave --png out"));
        };
        let shape = [channels, height, width];
        let numbers = in_turn(&data.train, data.classes);
        let rows: Vec<u32> = numbers.iter().map(|&row| row as u32).collect();
        let plain = data.columns(&data.train, &rows);
        let gpu = self.device.open()?;
        let range = Range::of(data, &plain, rows.len());
        let pictures = |x: &[f32]| {
            (0..rows.len())
                .map(|col| sheet::picture(&range.column(data, x, rows.len(), col), shape))
                .collect()
        };
        let mut all = vec![("plain".to_string(), pictures(&plain))];
        for epoch in self.epoch..self.epoch.saturating_add(EPOCHS) {
            let varied = shown(&gpu, recipe, data, epoch, &rows)?;
            all.push((format!("epoch {epoch}"), pictures(&varied)));
        }
        let label = |&row: &usize| data.class_name(data.train.labels[row].into());
        let labels: Vec<String> = numbers.iter().map(label).collect();
        sheet::sheet(&labels, &all).save_png(path)
    }
}

/// Of pairs, the tokens of the longest source and of the longest target, without its end.
fn longest(data: &Dataset) -> Option<[usize; 2]> {
    let pairs = data.train.tokens().filter(|tokens| !tokens.is_text())?;
    Some([pairs.skips, pairs.labels() - 1])
}

/// The first sample of each class, then the second of each, and so on.
fn in_turn(split: &Split, classes: usize) -> Vec<usize> {
    let mut seen = vec![0usize; classes];
    let mut turns: Vec<(usize, u8, usize)> = Vec::new();
    for (row, &label) in split.labels.iter().enumerate() {
        let turn = &mut seen[usize::from(label)];
        if *turn < SAMPLES {
            turns.push((*turn, label, row));
        }
        *turn += 1;
    }
    turns.sort_unstable();
    turns.into_iter().take(SAMPLES).map(|(_, _, row)| row).collect()
}

/// The stored values that are drawn black and white.
struct Range {
    least: f32,
    most: f32,
}

impl Range {
    /// The smallest and the largest among those shown; bytes begin at 0.
    fn of(data: &Dataset, plain: &[f32], cols: usize) -> Self {
        let stored = || plain.iter().enumerate().map(|(i, x)| stored(data, i / cols, *x));
        let (least, most) = (stored().fold(f32::MAX, f32::min), stored().fold(f32::MIN, f32::max));
        Self { least: if matches!(data.train.images, Samples::Bytes(_)) { 0.0 } else { least }, most }
    }

    /// A column of (features, cols), from 0 (black) to 1 (white).
    fn column(&self, data: &Dataset, x: &[f32], cols: usize, col: usize) -> Vec<f32> {
        let span = (self.most - self.least).max(f32::MIN_POSITIVE);
        let value = |feature| (stored(data, feature, x[feature * cols + col]) - self.least) / span;
        (0..data.features()).map(value).collect()
    }
}

/// What becomes of a stored value before a network reads it: with a number for each channel, or of few columns for each.
fn normalised(data: &Dataset) -> String {
    let all = |of: &dyn Fn(f32, f32) -> f32| {
        let each = data.scale.iter().zip(&data.shift).map(|(&scale, &shift)| of(scale, shift).to_string());
        match &each.collect::<Vec<_>>()[..] {
            [one] => one.clone(),
            several => format!("[{}]", several.join(", ")),
        }
    };
    if data.scale.len() > CHANNELS {
        return "(value - mean) / deviation of each column: --json has scale = 1 / deviation and shift = -mean / deviation".into();
    }
    let (mean, deviation) = (all(&|scale, shift| -shift / scale), all(&|scale, _| 1.0 / scale));
    format!("(value - {mean}) / {deviation}")
}

/// What a number of the model stands for.
fn stored(data: &Dataset, feature: usize, x: f32) -> f32 {
    let channel = feature / (data.features() / data.scale.len());
    (x - data.shift[channel]) / data.scale[channel]
}
