//! A run on eighty columns: state, progress, figures, curves, layers.

use console::{Alignment, Style, measure_text_width, pad_str};

use super::pace::{Pace, span};
use super::{Chart, Curve, Figures, Layer, Live, State};
use crate::report::fit::wrap;
use crate::report::inspect::percent;

/// How it is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub colour: bool,
    /// Lines that may be drawn: what has no room is summed up.
    pub lines: usize,
}

/// Columns of the picture.
const WIDTH: usize = 80;
/// Characters of a curve, beside its scale.
const FIELD: [usize; 2] = [29, 6];
const SCALE: usize = 9;
/// With fewer lines there are no curves.
const LEAST: usize = 20;
/// Characters of a layer's bar and name.
const BAR: usize = 16;
const NAME: usize = 26;

impl Look {
    fn paint(self, style: Style, text: &str) -> String {
        style.force_styling(self.colour).apply_to(text).to_string()
    }
    fn of_curve(number: usize) -> Style {
        if number == 0 { Style::new().blue() } else { Style::new().yellow() }
    }
}

/// The whole picture, line by line.
pub fn picture(live: &Live, look: Look) -> Vec<String> {
    let state = State::of(live);
    let name = live.folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let style = match state {
        State::Failed { .. } | State::Crashed => Style::new().red(),
        State::Done | State::Running { .. } | State::Comparing => Style::new().green(),
        _ => Style::new().yellow(),
    };
    let told = wrap(&format!("{name}  {}", state.told(live)), WIDTH, "  ");
    let mut lines: Vec<String> = told.lines().map(|line| look.paint(style.clone().bold(), line)).collect();
    if state == State::NotBegun || (live.session.is_none() && live.known.step == 0) {
        return lines;
    }
    lines.extend(progress(live, &state));
    lines.extend(figures(live));
    if look.lines >= LEAST {
        lines.extend(curves(live, look));
    }
    let room = look.lines.saturating_sub(lines.len() + 2);
    lines.extend(layers(live, room));
    lines
}

fn progress(live: &Live, state: &State) -> Vec<String> {
    let known = &live.known;
    let mut lines = Vec::new();
    if let Some(steps) = live.steps().filter(|steps| *steps > 0) {
        let share = known.step as f64 / steps as f64;
        let text = format!("  {} of {steps} steps  {:.0} %", known.step, (100.0 * share).floor());
        let width = WIDTH.saturating_sub(text.chars().count()).clamp(10, 50);
        let full = (share * width as f64).round().min(width as f64) as usize;
        lines.push(format!("{}{}{text}", "━".repeat(full), "┄".repeat(width - full)));
    } else {
        lines.push(format!("{} steps", known.step));
    }
    let mut parts = vec![format!("epoch {:.1}", known.epoch)];
    let pace = live.session.as_ref().map(|session| &session.pace);
    parts.extend(pace.and_then(Pace::ms_per_step).map(|ms| format!("{ms:.1} ms a step")));
    parts.extend(state.seconds_left(live).map(|seconds| format!("{} left", span(seconds))));
    parts.extend(known.learning_rate.map(|rate| format!("learning rate {rate:.2e}")));
    lines.push(parts.join("   "));
    lines
}

fn figures(live: &Live) -> Vec<String> {
    let known = &live.known;
    let all = [("train", &known.train), ("validation", &known.validation), ("test", &known.test)];
    let line = |(part, figures): (&str, &Figures)| {
        let ((_, loss), (_, accuracy)) = figures.loss.last().zip(figures.accuracy.last())?;
        let perplexity =
            figures.perplexity.map_or(String::new(), |value| format!("   perplexity {value:.3}"));
        Some(format!("{part:<12}loss {loss:<10.4} accuracy {}{perplexity}", percent(*accuracy)))
    };
    all.into_iter().filter_map(line).collect()
}

/// Loss and accuracy side by side.
fn curves(live: &Live, look: Look) -> Vec<String> {
    let known = &live.known;
    let end = known.step as f64;
    let draw =
        |pick: fn(&Figures) -> &Curve| Chart::new(&[pick(&known.train), pick(&known.validation)], end, FIELD);
    let (loss, accuracy) = (draw(|own| &own.loss), draw(|own| &own.accuracy));
    if known.train.loss.len().max(known.validation.loss.len()) < 2 {
        return Vec::new();
    }
    let [train, validation] =
        [(0, "train"), (1, "validation")].map(|(n, name)| look.paint(Look::of_curve(n), name));
    let key = if known.validation.loss.is_empty() { train } else { format!("{train}, {validation}") };
    let words = if known.validation.loss.is_empty() { "train" } else { "train, validation" };
    // Under it a field, two spaces and the scale of the other one.
    let gap = (FIELD[0] + 2 + SCALE).saturating_sub("loss: ".len() + words.len());
    let mut lines = vec![String::new(), format!("{:SCALE$}loss: {key}{:gap$}accuracy", "", "")];
    let decimals = |value: f64| format!("{value:.3}");
    let [left, right] = [panel(&loss, decimals, look), panel(&accuracy, percent, look)];
    lines.extend(left.into_iter().zip(right).map(|(left, right)| format!("{left}  {right}")));
    lines
}

/// A curve with its scale.
fn panel(chart: &Chart, label: impl Fn(f64) -> String, look: Look) -> Vec<String> {
    let last = chart.rows.len() - 1;
    let row = |(number, row): (usize, &Vec<(char, usize)>)| {
        let edge = chart.edges.and_then(|[top, bottom]| match number {
            0 => Some(label(top)),
            _ if number == last => Some(label(bottom)),
            _ => None,
        });
        let paint = |same: &[(char, usize)]| {
            look.paint(Look::of_curve(same[0].1), &same.iter().map(|(cell, _)| *cell).collect::<String>())
        };
        let cells: String = row.chunk_by(|one, next| one.1 == next.1).map(paint).collect();
        format!("{:>1$}│{cells}", edge.unwrap_or_default(), SCALE - 1)
    };
    chart.rows.iter().enumerate().map(row).collect()
}

/// What is kept of each layer, in at most so many lines.
fn layers(live: &Live, room: usize) -> Vec<String> {
    let Some([kept, total, step]) = live.known.kept() else { return Vec::new() };
    let sparsity = |kept: u64, total: u64| percent(1.0 - kept as f64 / total.max(1) as f64);
    let mut lines = vec![
        String::new(),
        format!("kept {kept} of {total}   sparsity {}   at step {step}", sparsity(kept, total)),
    ];
    let layers = live.known.layers();
    if room == 0 {
        return lines;
    }
    let shown = if layers.len() <= room { layers.len() } else { room.saturating_sub(1) };
    for Layer { name, kept, total } in &layers[..shown] {
        let share = *kept as f64 / (*total).max(1) as f64;
        let full = ((share * BAR as f64).round() as usize).max(usize::from(*kept > 0)).min(BAR);
        let bar = format!("{}{}", "█".repeat(full), "░".repeat(BAR - full));
        let sparsity = sparsity(*kept, *total);
        lines.push(format!("  {} {bar} {sparsity:>9}  {kept:>9} of {total}", fitted(name)));
    }
    let rest = layers[shown..].iter().map(|layer| 1.0 - layer.kept as f64 / layer.total.max(1) as f64);
    if let Some((least, most)) = rest.clone().reduce(f64::min).zip(rest.reduce(f64::max)) {
        let count = layers.len() - shown;
        lines.push(format!("  {count} more layers, sparsity {} to {}", percent(least), percent(most)));
    }
    lines
}

/// A name in its columns: its end where it is too long, since what differs between layers stands there.
fn fitted(name: &str) -> String {
    let ends = name.char_indices().map(|(at, _)| &name[at..]);
    let end = ends.map(|end| format!("…{end}")).find(|end| measure_text_width(end) <= NAME);
    let shown = if measure_text_width(name) <= NAME { name.into() } else { end.unwrap_or_default() };
    pad_str(&shown, NAME, Alignment::Left, None).into_owned()
}
