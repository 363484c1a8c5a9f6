//! What an ONNX file says about its network: the run, and how samples become inputs.

use super::proto::Entry;
use crate::data::Dataset;
use crate::export::Run;
use crate::recipe::{Model, Recipe};

/// More names of classes than people read.
const MOST_NAMES: usize = 1000;

/// All entries.
/// The recipe is that of the network in the file: filters that were removed are no part of it.
pub fn of(run: &Run, network: &Model, data: &Dataset) -> Vec<Entry> {
    let recipe = Recipe { model: network.clone(), ..run.recipe.clone() };
    let mut all = vec![
        entry("recipe", recipe.to_toml()),
        entry("data", data.name.clone()),
        entry("data_sha256", data.hash.clone()),
    ];
    all.extend(run.digest.iter().map(|digest| entry("digest", digest.clone())));
    all.extend(run.accuracy.map(|accuracy| entry("test_accuracy", accuracy.to_string())));
    if data.vocabulary().is_none() {
        let per_channel = |of: &dyn Fn(f64, f64) -> f64| {
            let both = data.scale.iter().zip(&data.shift);
            let list: Vec<f64> = both.map(|(&scale, &shift)| of(scale.into(), shift.into())).collect();
            serde_json::json!(list).to_string()
        };
        all.push(entry("input_mean", per_channel(&|scale, shift| -shift / scale)));
        all.push(entry("input_std", per_channel(&|scale, _| 1.0 / scale)));
    }
    if (1..=MOST_NAMES).contains(&data.class_names.len()) {
        all.push(entry("class_names", serde_json::json!(data.class_names).to_string()));
    }
    all
}

fn entry(key: &str, value: String) -> Entry {
    Entry { key: key.into(), value }
}
