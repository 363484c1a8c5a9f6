//! Rules that keep the diagonal of recurrent weights, `keep = "diagonal"`: what they can be said of.

use super::budget;
use super::methods::{Entry, Method, Start};
use crate::error::{Error, Result};
use crate::ops::packed::Form;
use crate::param::{MaskMode, Param, ParamId, ParamSet};
use crate::recipe::Rule;

/// Refuses a rule that names no recurrent weight.
pub fn check_rules(rules: &[Rule], params: &ParamSet) -> Result<()> {
    let names = |rule: &Rule, name: &str| budget::fits(&rule.matches, name);
    for rule in rules.iter().filter(|rule| rule.keep.is_some()) {
        if !params.iter().any(|param| param.recurrent && names(rule, &param.name)) {
            let recurrent = params.iter().filter(|param| param.recurrent).map(|param| &*param.name);
            let recurrent = recurrent.collect::<Vec<_>>().join(", ");
            let what = format!(
                "a sparsity rule keeps the diagonal of no recurrent weight: match = \"{}\"",
                rule.matches
            );
            let there =
                if recurrent.is_empty() { "there is none".into() } else { format!("there are: {recurrent}") };
            return Err(Error::usage(what).at(there).hint("the name of an `lstm` or `gru`"));
        }
    }
    Ok(())
}

/// Refuses a method that does not select single weights by a score.
pub fn check_method(entry: &Entry, method: &dyn Method, param: &Param) -> Result<()> {
    let chooses = method.mask_mode() != MaskMode::Flowing
        && method.threshold().is_none()
        && entry.start != Start::Zeros;
    if !param.keeps_diagonal || chooses && param.form == Form::Free {
        return Ok(());
    }
    let (what, hint) = match chooses {
        true => (
            format!("`{}` cannot keep its diagonal and the pattern {}", param.name, param.form.name()),
            "pattern = \"free\" in the rule",
        ),
        false => (
            format!("method `{}` cannot keep the diagonal of `{}`", entry.name, param.name),
            "a method that keeps single weights by their score, such as gmp or rigl",
        ),
    };
    Err(Error::usage(what).at("keep = \"diagonal\"").hint(hint))
}

/// Refuses budgets in which diagonals have no room.
pub fn check_budget(groups: &[Vec<ParamId>], keeps: &[usize], params: &ParamSet) -> Result<()> {
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
