//! Rules that keep the diagonal of recurrent weights, `keep = "diagonal"`: what they can be said of.

use super::methods::{Entry, Method, Start};
use super::rules;
use crate::error::{Error, Result};
use crate::ops::packed::Form;
use crate::param::{MaskMode, Param, ParamId, ParamSet};
use crate::recipe::{Rule, Sparsity, Storage};

/// Notes whether a parameter keeps its diagonal.
///
/// # Errors
/// `Kind::Usage` where the method does not select single weights by a score, or selects them where they are stored packed and
/// grow.
pub fn mark(recipe: &Sparsity, entry: &Entry, method: &dyn Method, param: &mut Param) -> Result<()> {
    param.keeps_diagonal = param.recurrent && rules::keeps_diagonal(&param.name, &recipe.rules);
    let flows = method.mask_mode() == MaskMode::Flowing;
    let selects = !flows && method.threshold().is_none() && entry.start != Start::Zeros;
    let (what, hint) = match param.keeps_diagonal {
        true if !selects => (
            format!("method `{}` cannot keep the diagonal of `{}`", entry.name, param.name),
            "a method that keeps single weights by their score, such as gmp or rigl",
        ),
        true if param.form != Form::Free => (
            format!("`{}` cannot keep its diagonal and the pattern {}", param.name, param.form.name()),
            "pattern = \"free\" in the rule",
        ),
        true if recipe.storage == Storage::Packed && stays_masked(method, param) => (
            format!("`{}` cannot keep its diagonal, grow and be packed", param.name),
            "storage = \"masked\" or \"auto\"",
        ),
        _ => return Ok(()),
    };
    Err(Error::usage(what).at("keep = \"diagonal\"").hint(hint))
}

/// Whether a weight keeps its diagonal and grows: which of its packed values lie there would change with each update, and is
/// recorded once.
pub fn stays_masked(method: &dyn Method, param: &Param) -> bool {
    param.keeps_diagonal && method.growth().is_some()
}

/// Refuses a rule that names no recurrent weight, and budgets in which diagonals have no room.
pub fn check(rules: &[Rule], groups: &[Vec<ParamId>], keeps: &[usize], params: &ParamSet) -> Result<()> {
    let recurrent = || params.iter().filter(|param| param.recurrent).map(|param| &*param.name);
    for rule in rules.iter().filter(|rule| rule.keep.is_some()) {
        if !recurrent().any(|name| rules::fits(&rule.matches, name)) {
            let what = "a sparsity rule keeps the diagonal of no recurrent weight";
            let there = match recurrent().collect::<Vec<_>>().join(", ") {
                none if none.is_empty() => "there is none".into(),
                names => format!("there are: {names}"),
            };
            let what = format!("{what}: match = \"{}\"", rule.matches);
            return Err(Error::usage(what).at(there).hint("the name of an `lstm` or `gru`"));
        }
    }
    for (members, &keep) in groups.iter().zip(keeps) {
        let protected: usize = members.iter().map(|&i| params[i].protected().len()).sum();
        if protected > keep {
            let names: Vec<&str> = members.iter().map(|&i| &*params[i].name).collect();
            let what = format!("the diagonals of {} have {protected} weights", names.join(", "));
            return Err(Error::usage(what).at(format!("{keep} weights are kept")).hint("a smaller target"));
        }
    }
    Ok(())
}
