//! What a sweep consists of: recipes, laid over with settings, with each variant and each seed.

use crate::error::{Error, Result};
use crate::recipe::Recipe;

/// One row of the table: a recipe with one variant, for every seed.
#[derive(Debug)]
pub struct Case {
    /// The recipe's name, and the variant as `-s` would write it.
    pub label: String,
    /// What the folders of its runs begin with.
    pub folder: String,
    /// By seed, as resolved.
    pub recipes: Vec<Recipe>,
}

/// Every recipe with every combination of variants (`key=a,b`), in that order. A recipe may bring settings of its own, as a
/// table names it: `digits-dense -s run.epochs=3`.
///
/// # Errors
/// `Kind::Usage` for what no recipe takes, before anything has run, and for two rows of one name.
pub fn cases(recipes: &[String], set: &[String], vary: &[String], seeds: &[u64]) -> Result<Vec<Case>> {
    let axes = vary.iter().map(|one| axis(one)).collect::<Result<Vec<_>>>()?;
    let mut variants: Vec<Vec<String>> = vec![Vec::new()];
    for axis in axes {
        let with = |before: &Vec<String>| -> Vec<Vec<String>> {
            axis.iter().map(|one| before.iter().chain([one]).cloned().collect()).collect()
        };
        variants = variants.iter().flat_map(with).collect();
    }
    let mut all: Vec<Case> = Vec::new();
    for recipe in recipes {
        for variant in &variants {
            let one = case(recipe, set, variant, seeds)?;
            if all.iter().any(|other| other.folder == one.folder) {
                return Err(Error::usage("two rows of a sweep would have the same name")
                    .at(&one.label)
                    .hint("each recipe and each value once"));
            }
            all.push(one);
        }
    }
    Ok(all)
}

fn case(row: &str, set: &[String], variant: &[String], seeds: &[u64]) -> Result<Case> {
    let mut words = row.split(" -s ").map(str::trim);
    let recipe = words.next().unwrap_or_default();
    let own: Vec<String> = words.map(String::from).chain(variant.iter().cloned()).collect();
    let file = recipe.rsplit(['/', '\\']).next().unwrap_or(recipe);
    let name = file.strip_suffix(".toml").unwrap_or(file);
    let label = std::iter::once(name.to_string()).chain(own.iter().map(|one| format!("-s {one}")));
    let one = |seed: &u64| {
        let seed = format!("run.seed={seed}");
        let all: Vec<String> = set.iter().chain(&own).chain([&seed]).cloned().collect();
        crate::train::resolve(&Recipe::find(recipe, &all)?)
    };
    let folder = std::iter::once(name).chain(own.iter().map(String::as_str));
    Ok(Case {
        label: label.collect::<Vec<_>>().join(" "),
        folder: plain(&folder.collect::<Vec<_>>().join(" ")),
        recipes: seeds.iter().map(one).collect::<Result<_>>()?,
    })
}

/// A folder's name on every system: letters, digits, `-`, `_` and `.`.
fn plain(text: &str) -> String {
    let fine = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let mut name: String = text.chars().map(fine).collect();
    while name.contains("__") {
        name = name.replace("__", "_");
    }
    name.trim_matches(['_', '.']).to_string()
}

/// `key=a,b` as `key=a` and `key=b`. Commas within brackets, braces and quotes separate nothing.
fn axis(text: &str) -> Result<Vec<String>> {
    let malformed = || {
        Error::usage("a variant has the form `key.path=value,value`")
            .at(format!("--vary {text}"))
            .hint("--vary sparsity.method=sr-ste,mdgf, or --vary 'model.hidden=[256,256],[512,512]'")
    };
    let (key, values) = text.split_once('=').ok_or_else(malformed)?;
    let (mut depth, mut quote, mut all) = (0i32, None, vec![String::new()]);
    for c in values.chars() {
        match (c, quote) {
            (_, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => quote = Some(c),
            ('[' | '{', None) => depth += 1,
            (']' | '}', None) => depth -= 1,
            (',', None) if depth == 0 => {
                all.push(String::new());
                continue;
            }
            _ => {}
        }
        all.last_mut().expect("one at least").push(c);
    }
    if key.trim().is_empty() || all.iter().any(|value| value.trim().is_empty()) {
        return Err(malformed());
    }
    Ok(all.iter().map(|value| format!("{}={}", key.trim(), value.trim())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_are_split_at_outer_commas() {
        assert_eq!(axis("a.b=x, y").unwrap(), ["a.b=x", "a.b=y"]);
        assert_eq!(axis("m=[1,2],[3,4]").unwrap(), ["m=[1,2]", "m=[3,4]"]);
        assert_eq!(axis("o={n='a,b',l=1},\"c,d\"").unwrap(), ["o={n='a,b',l=1}", "o=\"c,d\""]);
        for wrong in ["a", "=1", "a=", "a=1,", "a=,2"] {
            assert!(axis(wrong).unwrap_err().to_string().contains("key.path=value,value"), "{wrong}");
        }
    }

    #[test]
    fn every_combination_is_a_row() {
        let text = |all: &[&str]| all.iter().map(|one| one.to_string()).collect::<Vec<_>>();
        let (set, vary) = (text(&["run.epochs=2"]), text(&["sparsity.target=0.8,0.9", "run.batch=32,64"]));
        let all = cases(&text(&["digits-gmp-90", "digits-rigl-90"]), &set, &vary, &[1, 7]).unwrap();
        assert_eq!(all.len(), 8);
        assert_eq!(all[1].label, "digits-gmp-90 -s sparsity.target=0.8 -s run.batch=64");
        assert_eq!(all[1].folder, "digits-gmp-90_sparsity.target_0.8_run.batch_64");
        let recipe = &all[5].recipes[1];
        assert_eq!(
            (recipe.sparsity.target(), recipe.run.batch, recipe.run.seed, recipe.run.epochs),
            (0.8, 64, 7, 2)
        );
        let own = cases(&text(&["digits-dense", "digits-dense -s run.batch=32"]), &set, &[], &[1]).unwrap();
        let rows: Vec<_> = own.iter().map(|case| (case.label.as_str(), case.recipes[0].run.batch)).collect();
        assert_eq!(rows, [("digits-dense", 64), ("digits-dense -s run.batch=32", 32)]);
        assert_eq!(own[1].folder, "digits-dense_run.batch_32");
        assert_eq!(own[1].recipes[0].run.epochs, 2, "what all have");
        let twice = cases(&text(&["digits-dense", "digits-dense"]), &[], &[], &[1]).unwrap_err();
        assert!(twice.to_string().contains("the same name"), "{twice}");
        assert!(cases(&text(&["digits-gmp-9"]), &[], &[], &[1]).is_err());
    }
}
