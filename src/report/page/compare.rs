//! The page of several runs: means over seeds, accuracy over what it costs, and where recipes differ.

use maud::{Markup, html};

use super::parts::{self, operations, percent};
use super::record::Record;
use super::run;
use crate::error::Result;
use crate::recipe::Recipe;
use crate::report::axis::Axis;
use crate::report::plot::{Plot, Series, Stroke};
use crate::report::table;

/// Runs of one recipe, whatever their seed.
struct Group<'a> {
    label: String,
    runs: Vec<&'a Record>,
}

/// All sections of a page of several runs.
pub fn sections(runs: &[Record]) -> Result<Markup> {
    let groups = groups(runs);
    Ok(html! {
        (parts::section("Results", results(&groups)))
        (parts::section("Training", curves(runs)?))
        (parts::section("Accuracy over cost", costs(&groups)?))
        @if groups.len() > 1 { (parts::section("Where recipes differ", differences(&groups))) }
        (parts::section("Each run", html! {
            @for one in runs { details { summary { (one.name) } (run::sections(one)?) } }
        }))
    })
}

fn without_seed(recipe: &Recipe) -> Recipe {
    let mut recipe = recipe.clone();
    recipe.run.seed = 0;
    recipe
}

fn groups(runs: &[Record]) -> Vec<Group<'_>> {
    let mut all: Vec<(String, Group)> = Vec::new();
    for run in runs {
        let key = without_seed(&run.recipe).to_toml();
        match all.iter_mut().find(|(other, _)| *other == key) {
            Some((_, group)) => group.runs.push(run),
            None => all.push((key, Group { label: run.name.clone(), runs: vec![run] })),
        }
    }
    for (_, group) in &mut all {
        if group.runs.len() > 1 {
            let name = &group.runs[0].name;
            let seed = format!("-seed-{}", group.runs[0].recipe.run.seed);
            group.label = name.strip_suffix(&seed).unwrap_or(name).to_string();
        }
    }
    all.into_iter().map(|(_, group)| group).collect()
}

/// Quantiles .975 of Student's t distribution, by degrees of freedom from 1; beyond them that of the normal distribution.
const STUDENT: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/// The mean, and half the width of its confidence interval of 95 %, if there are two values at least.
fn interval(values: &[f64]) -> Option<(f64, Option<f64>)> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let quantile = |freedom: usize| STUDENT.get(freedom - 1).copied().unwrap_or(1.960);
    let half = (values.len() > 1).then(|| quantile(values.len() - 1) * (squares / (n - 1.0) / n).sqrt());
    (!values.is_empty()).then_some((mean, half))
}

impl Group<'_> {
    fn numbers(&self, pointer: &str) -> Vec<f64> {
        self.runs.iter().filter_map(|run| run.number(pointer)).collect()
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
    let row = |group: &Group| {
        let judgement = match interval(&group.numbers(judged)) {
            Some((mean, Some(half))) => format!("{} ± {}", write(mean), write(half)),
            Some((mean, None)) => write(mean),
            None => "not done".into(),
        };
        let bytes = |x: f64| table::bytes(x as u64);
        let whole = |x: f64| format!("{x:.0}");
        vec![
            group.label.clone(),
            group.runs.len().to_string(),
            judgement,
            group.mean("/kept", whole),
            group.mean("/total", whole),
            group.mean("/stored_bytes", bytes),
            group.mean("/peak_device_bytes", bytes),
            group.mean("/ms_per_step/total", |ms| format!("{ms:.2}")),
            group.mean("/train_flops/kept", operations),
        ]
    };
    let header = [
        "recipe",
        "runs",
        name,
        "kept",
        "weights",
        "stored",
        "peak on device",
        "ms / step",
        "training operations",
    ];
    html! {
        (parts::table(&header, &groups.iter().map(row).collect::<Vec<_>>()))
        @if groups.iter().any(|group| group.runs.len() > 1) {
            p { "Means over seeds; ± is the 95 % confidence interval of the mean (Student's t)." }
        }
    }
}

fn curves(runs: &[Record]) -> Result<Markup> {
    let plot = |title: &str, label: &str, figure: &str, scale: f64| {
        let line = |(number, run): (usize, &Record)| {
            let points = run.over_steps("evaluation", Some(run.watched()), figure);
            let points = points.into_iter().map(|(step, value)| (step, scale * value)).collect();
            Series::new(format!("{}, {}", run.name, run.watched()), number, points)
        };
        let series = runs.iter().enumerate().map(line).collect();
        let (x, y) = (Axis::linear("training step"), Axis::linear(label));
        parts::plot(&Plot { title: title.into(), x, y, series, bands: None })
    };
    Ok(html! {
        (plot("Loss", "mean loss", "loss", 1.0)?)
        (plot("Accuracy", "right answers (%)", "accuracy", 100.0)?)
    })
}

/// A dot a run.
fn costs(groups: &[Group]) -> Result<Markup> {
    let plot = |title: &str, label: &str, pointer: &str| {
        let line = |(number, group): (usize, &Group)| {
            let point = |run: &&Record| Some((run.number(pointer)?, 100.0 * run.number("/test_accuracy")?));
            Series::new(group.label.clone(), number, group.runs.iter().filter_map(point).collect())
                .stroke(Stroke::Absent)
                .dots()
        };
        let series = groups.iter().enumerate().map(line).collect();
        let (x, y) = (Axis::log(label), Axis::linear("test accuracy (%)"));
        parts::plot(&Plot { title: title.into(), x, y, series, bands: None })
    };
    Ok(html! {
        (plot("Accuracy over kept weights", "weights that are not 0", "/kept")?)
        (plot("Accuracy over training operations", "operations of prunable products, all steps", "/train_flops/kept")?)
    })
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
    fn intervals_are_those_of_student() {
        assert_eq!(interval(&[]), None);
        assert_eq!(interval(&[2.0]), Some((2.0, None)));
        // Mean 2, deviation 1, three values: 4.303 / sqrt(3).
        let (mean, half) = interval(&[1.0, 2.0, 3.0]).unwrap();
        assert!((mean - 2.0).abs() < 1e-12 && (half.unwrap() - 2.48434).abs() < 1e-4);
    }
}
