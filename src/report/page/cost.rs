//! Accuracy over what it costs: a dot a run, or a line where recipes differ in one amount alone, such as their sparsity.

use maud::{Markup, html};

use super::compare::{Group, mean, without_seed};
use super::parts;
use super::record::Record;
use crate::error::Result;
use crate::recipe::Recipe;
use crate::report::axis::Axis;
use crate::report::plot::{Plot, Series, Stroke};

/// Groups that differ in one amount.
struct Family<'a> {
    label: String,
    first: Recipe,
    /// The key of the amount; none of a group that stands alone.
    key: Option<String>,
    groups: Vec<&'a Group<'a>>,
}

pub fn costs(groups: &[Group]) -> Result<Markup> {
    let families = families(groups);
    let plot = |title: &str, label: &str, pointer: &str, scale: f64| {
        let series = families.iter().zip(0..).map(|(family, number)| family.series(number, pointer, scale));
        let (x, y) = (Axis::log(label), Axis::percent("test accuracy (%)"));
        parts::plot(&Plot { title: title.into(), x, y, series: series.collect(), bands: None })
    };
    Ok(html! {
        @if families.iter().any(|family| family.key.is_some()) {
            p { "Recipes that differ in one number alone are one line; its dots are means over seeds." }
        }
        (plot("Accuracy over kept weights", "weights that are not 0", "/kept", 1.0)?)
        (plot("Accuracy over stored size", "kB as stored", "/stored_bytes", 1e-3)?)
        (plot("Accuracy over training operations", "GFLOP of prunable products, all steps", "/train_flops/kept", 1e-9)?)
    })
}

fn families<'a>(groups: &'a [Group<'a>]) -> Vec<Family<'a>> {
    let mut all: Vec<Family> = Vec::new();
    for group in groups {
        let recipe = compared(&group.runs[0].recipe);
        let joined = all.iter_mut().find_map(|family| {
            let key = amount(&family.first, &recipe)?;
            family.key.as_ref().is_none_or(|own| *own == key).then_some((family, key))
        });
        match joined {
            Some((family, key)) => {
                family.key = Some(key);
                family.groups.push(group);
            }
            None => {
                let label = group.label.clone();
                all.push(Family { label, first: recipe, key: None, groups: vec![group] });
            }
        }
    }
    let names: Vec<String> = all.iter().map(|family| family.first.run.name.clone()).collect();
    for (family, name) in all.iter_mut().zip(&names) {
        if let Some(key) = &family.key {
            let is_alone = names.iter().filter(|other| *other == name).count() == 1;
            let name = if is_alone { name.clone() } else { format!("{} and others", family.label) };
            family.label = format!("{name}, by {key}");
        }
    }
    all
}

/// A recipe without what differs between runs of one line: the seed, and a density of the start that follows from the target.
fn compared(recipe: &Recipe) -> Recipe {
    let mut recipe = without_seed(recipe);
    let target = recipe.sparsity.target;
    let follows = |init: &f64| target.is_some_and(|target| (init + target - 1.0).abs() < 1e-9);
    recipe.sparsity.init = recipe.sparsity.init.filter(|init| !follows(init));
    recipe
}

/// The key in which two recipes differ, if it is the only one and both values are numbers, lists of them or an `N:M`.
fn amount(one: &Recipe, other: &Recipe) -> Option<String> {
    let is_amount = |text: &str| {
        let mut pieces = text.split(|c| "[]\", :".contains(c)).filter(|piece| !piece.is_empty()).peekable();
        pieces.peek().is_some() && pieces.all(|piece| piece.parse::<f64>().is_ok())
    };
    match &one.differences(other)[..] {
        [only] if is_amount(&only.then) && is_amount(&only.now) => Some(only.key.clone()),
        _ => None,
    }
}

impl Family<'_> {
    fn series(&self, colour: usize, pointer: &str, scale: f64) -> Series {
        let point = |cost: f64, accuracy: f64| (scale * cost, 100.0 * accuracy);
        let of_group = |group: &&Group| {
            Some(point(mean(&group.numbers(pointer))?, mean(&group.numbers("/test_accuracy"))?))
        };
        let of_run = |run: &&Record| Some(point(run.number(pointer)?, run.number("/test_accuracy")?));
        let mut means: Vec<(f64, f64)> = self.groups.iter().filter_map(of_group).collect();
        means.sort_by(|a, b| a.0.total_cmp(&b.0));
        // What costs the same is no line.
        let is_line = means.len() > 1 && means.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if is_line {
            return Series::new(self.label.clone(), colour, means).dots();
        }
        let runs = self.groups.iter().flat_map(|group| &group.runs).filter_map(of_run);
        Series::new(self.label.clone(), colour, runs.collect()).stroke(Stroke::Absent).dots()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differ(set: &str) -> Option<String> {
        let with = |set: &[String]| Recipe::find("fashion-nm", set).unwrap();
        amount(&with(&[]), &with(&[set.to_string()]))
    }

    #[test]
    fn amounts_are_numbers_lists_of_them_and_patterns() {
        assert_eq!(differ("run.batch=64").as_deref(), Some("run.batch"));
        assert_eq!(differ("model.hidden=[64,64]").as_deref(), Some("model.hidden"));
        assert_eq!(differ("sparsity.pattern=1:4").as_deref(), Some("sparsity.pattern"));
        assert_eq!(differ("sparsity.method=sr-ste"), None);
        assert_eq!(differ("optim.name=adam"), None);
    }

    /// As the configurations of runs of constant sparsity have it.
    #[test]
    fn a_start_that_follows_from_the_target_is_no_difference() {
        let with = |target: f64, init: f64| {
            let mut recipe = Recipe::find("fashion-rigl-98", &[format!("sparsity.target={target}")]).unwrap();
            recipe.sparsity.init = Some(init);
            compared(&recipe)
        };
        assert_eq!(amount(&with(0.9, 0.1), &with(0.8, 0.2)).as_deref(), Some("sparsity.target"));
        assert_eq!(amount(&with(0.9, 0.1), &with(0.8, 0.5)), None);
    }
}
