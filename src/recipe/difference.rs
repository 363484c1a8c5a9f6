//! In which keys two recipes differ.

use std::collections::{BTreeMap, BTreeSet};

use toml::Value;

use super::Recipe;
use super::source::join;

/// A key that has another value.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Difference {
    /// With dots: `sparsity.target`.
    pub key: String,
    /// As recipes write it; empty where the key is not there.
    pub then: String,
    pub now: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |value: &str| if value.is_empty() { "not there".to_string() } else { value.to_string() };
        write!(f, "{}: {} then, {} now", self.key, shown(&self.then), shown(&self.now))
    }
}

impl Recipe {
    /// The keys in which `now` differs, defaults filled in on both sides.
    pub fn differences(&self, now: &Recipe) -> Vec<Difference> {
        let (then, now) = (self.flat(), now.flat());
        let keys: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
        let value = |all: &BTreeMap<String, String>, key: &String| all.get(key).cloned().unwrap_or_default();
        let one =
            |key: &String| Difference { key: key.clone(), then: value(&then, key), now: value(&now, key) };
        keys.into_iter().map(one).filter(|one| one.then != one.now).collect()
    }

    fn flat(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        if let Ok(table) = self.to_toml().parse::<toml::Table>() {
            flatten("", &Value::Table(table), &mut all);
        }
        all
    }
}

fn flatten(path: &str, value: &Value, all: &mut BTreeMap<String, String>) {
    match value {
        Value::Table(table) => table.iter().for_each(|(key, value)| flatten(&join(path, key), value, all)),
        // Layers, outputs and rules are tables in a list.
        Value::Array(items) if items.iter().any(Value::is_table) => {
            items.iter().enumerate().for_each(|(i, item)| flatten(&join(path, &i.to_string()), item, all));
        }
        _ => drop(all.insert(path.to_string(), value.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_differ_are_named_with_both_values() {
        let recipe = |more: &[&str]| {
            let more: Vec<String> = more.iter().map(|key| key.to_string()).collect();
            Recipe::find("digits-gmp-90", &more).unwrap()
        };
        assert_eq!(recipe(&[]).differences(&recipe(&[])), []);
        let found = recipe(&[]).differences(&recipe(&["sparsity.target=0.5", "model.hidden=[3]"]));
        let shown: Vec<String> = found.iter().map(Difference::to_string).collect();
        assert_eq!(shown, ["model.hidden: [128, 64] then, [3] now", "sparsity.target: 0.9 then, 0.5 now"]);
        let ruled = recipe(&["sparsity.rule=[{match='head', dense=true}]"]);
        let found = recipe(&[]).differences(&ruled);
        assert!(
            found.iter().any(|one| one.key == "sparsity.rule.0.match" && one.then.is_empty()),
            "{found:?}"
        );
    }
}
