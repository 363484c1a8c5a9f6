//! The page of several runs: means over seeds, accuracy over what it costs, and where recipes differ.

use maud::{Markup, html};

use super::cost::costs;
use super::parts::{self, operations, percent};
use super::record::Record;
use super::run::{self, PHASES};
use crate::error::Result;
use crate::recipe::Recipe;
use crate::report::axis::Axis;
use crate::report::plot::{Plot, Series};
use crate::report::table::{self, Figure, LANGUAGE};
use crate::train::Memory;

/// Runs of one recipe, whatever their seed.
pub(super) struct Group<'a> {
    pub label: String,
    pub runs: Vec<&'a Record>,
}

/// All sections of a page of several runs.
pub fn sections(runs: &[Record]) -> Result<Markup> {
    let groups = groups(runs);
    Ok(html! {
        (parts::section("Results", results(&groups)))
        (parts::section("Training", curves(&groups)?))
        (parts::section("Accuracy over cost", costs(&groups)?))
        @if let Some(times) = times(&groups) { (parts::section("Time of a step", times)) }
        @if let Some(memory) = memory(&groups) { (parts::section("Memory on the device", memory)) }
        @if groups.len() > 1 { (parts::section("Where recipes differ", differences(&groups))) }
        (parts::section("Each run", html! {
            @for one in runs { details { summary { (one.name) } (run::sections(one)?) } }
        }))
    })
}

pub(super) fn without_seed(recipe: &Recipe) -> Recipe {
    let mut recipe = recipe.clone();
    recipe.run.seed = 0;
    recipe
}

fn groups(runs: &[Record]) -> Vec<Group<'_>> {
    let mut all: Vec<(String, Group)> = Vec::new();
    for run in runs {
        let initial = run.initial.as_ref().map_or("", |(_, sha256)| sha256);
        let key = without_seed(&run.recipe).to_toml() + initial;
        match all.iter_mut().find(|(other, _)| *other == key) {
            Some((_, group)) => group.runs.push(run),
            None => all.push((key, Group { label: String::new(), runs: vec![run] })),
        }
    }
    let mut groups: Vec<Group> = all.into_iter().map(|(_, group)| group).collect();
    // The name of the recipe, or of a folder where several have that.
    let names: Vec<String> = groups.iter().map(|group| group.runs[0].recipe.run.name.clone()).collect();
    for (group, name) in groups.iter_mut().zip(&names) {
        let is_alone = names.iter().filter(|other| *other == name).count() == 1;
        let folder = &group.runs[0].name;
        let seed = format!("-seed-{}", group.runs[0].recipe.run.seed);
        group.label = if is_alone { name } else { folder.strip_suffix(&seed).unwrap_or(folder) }.to_string();
    }
    groups
}

/// Quantiles .975 of Student's t distribution, by degrees of freedom from 1; beyond them that of the normal distribution.
const STUDENT: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];

pub(super) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The mean, and half the width of its confidence interval of 95 %, if there are two values at least.
fn interval(values: &[f64]) -> Option<(f64, Option<f64>)> {
    let n = values.len() as f64;
    let mean = mean(values)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let quantile = |freedom: usize| STUDENT.get(freedom - 1).copied().unwrap_or(1.960);
    let half = (values.len() > 1).then(|| quantile(values.len() - 1) * (squares / (n - 1.0) / n).sqrt());
    Some((mean, half))
}

impl Group<'_> {
    pub(super) fn numbers(&self, pointer: &str) -> Vec<f64> {
        self.runs.iter().filter_map(|run| run.number(pointer)).collect()
    }
    /// The mean with its confidence interval, if there are runs to have one.
    fn interval(&self, pointer: &str, write: impl Fn(f64) -> String) -> Option<String> {
        let (mean, half) = interval(&self.numbers(pointer))?;
        Some(match half {
            Some(half) => format!("{} ± {}", write(mean), write(half)),
            None => write(mean),
        })
    }
    fn mean(&self, pointer: &str, write: impl Fn(f64) -> String) -> String {
        interval(&self.numbers(pointer)).map_or("-".into(), |(mean, _)| write(mean))
    }
}

fn results(groups: &[Group]) -> Markup {
    let is_language = groups.iter().flat_map(|group| &group.runs).any(|run| run.is_language());
    let (judged, name) =
        if is_language { ("/test_loss", "test loss") } else { ("/test_accuracy", "test accuracy") };
    let write = |x: f64| if is_language { format!("{x:.4}") } else { percent(x) };
    // Columns that networks of text alone have, if any of them has the figure.
    let known = |figure: &&Figure| groups.iter().any(|group| !group.numbers(figure.pointer).is_empty());
    let figures: Vec<&Figure> = LANGUAGE.iter().filter(known).collect();
    let row = |group: &Group| {
        let judgement = group.interval(judged, write).unwrap_or("not done".into());
        let bytes = |x: f64| table::bytes(x as u64);
        let whole = |x: f64| format!("{x:.0}");
        let mut row = vec![group.label.clone(), group.runs.len().to_string(), judgement];
        let of = |figure: &&Figure| group.interval(figure.pointer, figure.write).unwrap_or("-".into());
        row.extend(figures.iter().map(of));
        row.extend([
            group.mean("/kept", whole),
            group.mean("/total", whole),
            group.mean("/stored_bytes", bytes),
            group.mean("/peak_device_bytes", bytes),
            group.mean("/ms_per_step/total", |ms| format!("{ms:.2}")),
            group.mean("/train_flops/kept", operations),
        ]);
        row
    };
    let mut header = vec!["recipe", "runs", name];
    header.extend(figures.iter().map(|figure| figure.name));
    header.extend(["kept", "weights", "stored", "peak on device", "ms / step", "training operations"]);
    html! {
        (parts::table(&header, &groups.iter().map(row).collect::<Vec<_>>()))
        @if groups.iter().any(|group| group.runs.len() > 1) {
            p { "Means over seeds; ± is the 95 % confidence interval of the mean (Student's t)." }
        }
    }
}

/// The mean of several lines, at the steps that all of them have.
fn mean_line(lines: &[Vec<(f64, f64)>]) -> Vec<(f64, f64)> {
    let at = |line: &[(f64, f64)], step: f64| {
        line.binary_search_by(|point| point.0.total_cmp(&step)).ok().map(|found| line[found].1)
    };
    let Some((first, others)) = lines.split_first() else { return Vec::new() };
    let mean = |&(step, value): &(f64, f64)| {
        let sum = others.iter().try_fold(value, |sum, line| Some(sum + at(line, step)?))?;
        Some((step, sum / lines.len() as f64))
    };
    first.iter().filter_map(mean).collect()
}

/// A line for each recipe: the mean over its runs.
fn curves(groups: &[Group]) -> Result<Markup> {
    let plot = |title: &str, y: Axis, scale: f64, of: &dyn Fn(&Record) -> Vec<(f64, f64)>| {
        let line = |(number, group): (usize, &Group)| {
            // Runs that have begun and logged nothing yet are left out.
            let lines = group.runs.iter().map(|run| of(run)).filter(|line| !line.is_empty());
            let lines: Vec<_> = lines.collect();
            let points = mean_line(&lines).into_iter().map(|(step, value)| (step, scale * value)).collect();
            let name = match lines.len() {
                0 | 1 => group.label.clone(),
                many => format!("{}, mean of {many}", group.label),
            };
            Series::new(name, number, points)
        };
        let series: Vec<Series> = groups.iter().enumerate().map(line).collect();
        if series.iter().all(|series| series.points.is_empty()) {
            return Ok(html! {});
        }
        let x = Axis::linear("training step");
        parts::plot(&Plot { title: title.into(), x, y, series, bands: None })
    };
    let is_held_out = groups.iter().flat_map(|group| &group.runs).all(|run| run.watched() == "validation");
    let watched = |figure: &'static str| {
        move |run: &Record| match is_held_out {
            true => run.over_steps("evaluation", Some("validation"), figure),
            false => run.over_steps("train", None, &format!("train_{figure}")),
        }
    };
    let of = if is_held_out {
        "the validation part"
    } else {
        "training batches, as not every run holds something out"
    };
    let kept = |run: &Record| {
        let sparsity = run.over_steps("train", None, "sparsity").into_iter();
        sparsity.map(|(step, sparsity)| (step, 1.0 - sparsity)).collect()
    };
    Ok(html! {
        p { "Loss and accuracy are those of " (of) "." }
        (plot("Loss", Axis::linear("mean loss"), 1.0, &watched("loss"))?)
        (plot("Accuracy", Axis::percent("accuracy (%)"), 100.0, &watched("accuracy"))?)
        (plot("Kept weights", Axis::percent("kept weights (%)"), 100.0, &kept)?)
    })
}

/// A row for each of these figures, a column for each recipe: means over its runs. Nothing where none has a figure.
fn side_by_side(
    what: &str,
    groups: &[Group],
    rows: &[(&str, String)],
    write: fn(f64) -> String,
) -> Option<Markup> {
    let labels = groups.iter().map(|group| group.label.as_str());
    let header: Vec<&str> = std::iter::once(what).chain(labels).collect();
    let row = |(name, pointer): &(&str, String)| {
        let values = groups.iter().map(|group| group.mean(pointer, write));
        std::iter::once(name.to_string()).chain(values).collect::<Vec<_>>()
    };
    let has_any = |row: &Vec<String>| row[1..].iter().any(|cell| cell != "-");
    let rows: Vec<_> = rows.iter().map(row).filter(has_any).collect();
    (!rows.is_empty()).then(|| parts::table(&header, &rows))
}

fn times(groups: &[Group]) -> Option<Markup> {
    let pointer = |phase: &str| format!("/ms_per_step/{phase}");
    let mut rows: Vec<(&str, String)> = PHASES.iter().map(|phase| (*phase, pointer(phase))).collect();
    rows.push(("total", pointer("total")));
    rows.push(("total, dense network", format!("/dense{}", pointer("total"))));
    let table = side_by_side("ms", groups, &rows, |ms| format!("{ms:.3}"))?;
    Some(html! {
        (table)
        p { "Medians of timed steps, means over runs. The total is wall-clock time, waiting included." }
    })
}

fn memory(groups: &[Group]) -> Option<Markup> {
    let mut rows: Vec<(&str, String)> =
        Memory::NAMES.iter().map(|(key, name)| (*name, format!("/memory/{key}"))).collect();
    rows.push(("peak on the device", "/peak_device_bytes".into()));
    side_by_side("held by", groups, &rows, |bytes| table::bytes(bytes as u64))
}

/// A row a key, a column a recipe; what differs from the first is marked.
fn differences(groups: &[Group]) -> Markup {
    let recipes: Vec<Recipe> = groups.iter().map(|group| without_seed(&group.runs[0].recipe)).collect();
    let mut keys: Vec<(String, String)> = Vec::new();
    for other in &recipes[1..] {
        for found in recipes[0].differences(other) {
            if !keys.iter().any(|(key, _)| *key == found.key) {
                keys.push((found.key, found.then));
            }
        }
    }
    let value = |recipe: &Recipe, key: &str, first: &str| {
        let found = recipes[0].differences(recipe).into_iter().find(|found| found.key == key);
        found.map_or((first.to_string(), false), |found| (found.now, true))
    };
    html! {
        div class="wide" { table {
            thead { tr { th { "key" } @for group in groups { th { (group.label) } } } }
            tbody { @for (key, first) in &keys { tr {
                td { (key) }
                @for recipe in &recipes {
                    @let (text, differs) = value(recipe, key, first);
                    td class=[differs.then_some("differs")] { (if text.is_empty() { "-" } else { &text }) }
                }
            } } }
        } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_line_has_the_steps_that_all_have() {
        let lines = [vec![(1.0, 2.0), (2.0, 4.0), (3.0, 9.0)], vec![(1.0, 4.0), (3.0, 1.0)]];
        assert_eq!(mean_line(&lines), [(1.0, 3.0), (3.0, 5.0)]);
        assert_eq!(mean_line(&lines[..1]), lines[0]);
        assert_eq!(mean_line(&[]), []);
    }

    #[test]
    fn intervals_are_those_of_student() {
        assert_eq!(interval(&[]), None);
        assert_eq!(interval(&[2.0]), Some((2.0, None)));
        // Mean 2, deviation 1, three values: 4.303 / sqrt(3).
        let (mean, half) = interval(&[1.0, 2.0, 3.0]).unwrap();
        assert!((mean - 2.0).abs() < 1e-12 && (half.unwrap() - 2.48434).abs() < 1e-4);
    }
}
