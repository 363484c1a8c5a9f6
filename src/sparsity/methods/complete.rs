//! A recipe's section with its method's defaults, once it is clear that they go together.

use super::super::filters;
use super::{Aim, Entry, Heed, Method, Start, constant, find, settings};
use crate::error::{Error, Result};
use crate::param::MaskMode;
use crate::recipe::{Distribution, PruneSchedule, Sparsity, Structure};

/// A recipe's section with every default of its method filled in.
///
/// # Errors
/// `Kind::Usage` for an unknown name or key, or a start that the method does not have.
pub fn complete(recipe: &Sparsity) -> Result<Sparsity> {
    let entry = find(recipe)?;
    let recipe = &Sparsity { target: Some(target(recipe, entry)?), ..recipe.clone() };
    let own = match entry.start {
        Start::Dense | Start::Initial | Start::Zeros => 1.0,
        // As people write it: 1 - 0.9 is not 0.1 to the last digit.
        Start::Random => ((1.0 - recipe.target()) * 1e12).round() / 1e12,
    };
    let init = recipe.init.unwrap_or(own);
    if entry.start == Start::Random && (init - own).abs() > 1e-9 {
        let error =
            Error::usage(format!("method `{}` keeps the same number of weights throughout", entry.name))
                .at(format!("target = {} is density {own}; init = {init}", recipe.target()));
        return Err(recipe.settings.locate("init", error).hint("leave init out"));
    }
    if let Some(method) = (entry.build)(recipe, &settings(recipe, entry)?)? {
        suits(recipe, entry, &*method)?;
        filters::suits(recipe, entry, &*method)?;
    }
    let distribution = match recipe.pattern {
        Structure::Filter => Distribution::Uniform,
        _ => entry.distribution,
    };
    Ok(Sparsity {
        settings: settings(recipe, entry)?,
        init: Some(init),
        distribution: Some(recipe.distribution.unwrap_or(distribution)),
        ..recipe.clone()
    })
}

/// Refuses keys that all methods share where this one would not heed them.
fn suits(recipe: &Sparsity, entry: &Entry, method: &dyn Method) -> Result<()> {
    let refuse = |key: &str, what: &str, advice: &str| {
        let error = Error::usage(format!("method `{}` {what}", entry.name));
        Err(recipe.settings.locate(key, error).hint(advice))
    };
    if recipe.latent && method.mask_mode() != MaskMode::Latent {
        return refuse("latent", "holds pruned weights at 0, or keeps them by itself", "leave latent out");
    }
    if recipe.min_density > 0.0
        && let Some(why) = heeds_no_floor(recipe, entry, method)
    {
        return refuse("min_density", why, "leave min_density out, or distribution = \"uniform\" or \"erk\"");
    }
    if entry.start == Start::Dense && !entry.heeds_init {
        constant(recipe, entry.name, "starts dense", 1.0)?;
    }
    if entry.start == Start::Zeros {
        constant(recipe, entry.name, "keeps the density of the weights that it starts with", 1.0)?;
        let advice = "leave it out: each layer keeps as many weights as do not start at 0";
        if recipe.distribution.is_some_and(|own| own != entry.distribution) {
            return refuse("distribution", "spreads no sparsity over layers", advice);
        }
        if recipe.rules.iter().any(|rule| rule.target.is_some()) {
            return refuse("rule", "takes no target for a layer", advice);
        }
    }
    let default = PruneSchedule::default();
    match entry.schedule {
        Heed::All => {}
        Heed::Every => {
            let every = PruneSchedule { every: recipe.schedule.every, ..default };
            if recipe.schedule != every {
                return refuse(
                    "schedule",
                    "takes of a schedule how often masks are recorded or chosen, `every`, alone",
                    "schedule = { every = \"100\" }",
                );
            }
        }
        Heed::Nothing if recipe.schedule != default => {
            return refuse("schedule", "has no schedule", "leave schedule out");
        }
        Heed::Nothing => {}
    }
    Ok(())
}

/// Why a method keeps no density of each layer at least, if it does not.
fn heeds_no_floor(recipe: &Sparsity, entry: &Entry, method: &dyn Method) -> Option<&'static str> {
    let is_global = recipe.distribution.unwrap_or(entry.distribution) == Distribution::Global;
    match method.growth() {
        _ if entry.aim != Aim::Asked || method.mask_mode() == MaskMode::Flowing => {
            Some("spreads no target over layers")
        }
        Some(growth) if growth.redistributes => Some("lets layers share what they have dropped"),
        Some(_) if is_global => Some("prunes all layers by one threshold before it regrows"),
        _ => None,
    }
}

/// The sparsity at the end: as asked for, that of an N:M pattern, or 0 where it is not asked for.
fn target(recipe: &Sparsity, entry: &Entry) -> Result<f64> {
    let pattern = match recipe.pattern {
        Structure::Groups { keep, of } => Some(1.0 - f64::from(keep) / f64::from(of)),
        _ => None,
    };
    let refuse = |key: &str, what: String, at: String, advice: &str| {
        Err(recipe.settings.locate(key, Error::usage(what).at(at)).hint(advice))
    };
    let target = match (entry.aim, recipe.target, pattern) {
        (Aim::Learned, Some(target), _) if target != 0.0 => {
            return refuse(
                "target",
                format!("method `{}` learns its sparsity", entry.name),
                format!("expected: no `sparsity.target`, or 0; found: {target}"),
                "leave target out; a larger decay makes the network sparser",
            );
        }
        (Aim::Nothing, Some(target), _) if target != 0.0 => {
            return refuse(
                "target",
                "a target needs a pruning method".into(),
                format!(
                    "expected: no `sparsity.target`, or 0, with method `{}`; found: {target}",
                    entry.name
                ),
                "choose a method, such as method = \"gmp\"; `coppice ls methods` lists them",
            );
        }
        (Aim::Given, Some(target), _) if target != 0.0 => {
            return refuse(
                "target",
                format!("method `{}` keeps the sparsity of the weights that it starts with", entry.name),
                format!("expected: no `sparsity.target`, or 0; found: {target}"),
                "leave target out",
            );
        }
        (Aim::Learned | Aim::Nothing | Aim::Given, ..) => 0.0,
        (Aim::Asked, Some(target), Some(own)) if (target - own).abs() > 1e-3 => {
            return refuse(
                "target",
                "an N:M pattern has its own sparsity".into(),
                format!("pattern = \"{}\" is {own}; target = {target}", recipe.pattern),
                "leave target out",
            );
        }
        (Aim::Asked, Some(target), _) => target,
        (Aim::Asked, None, Some(own)) => own,
        (Aim::Asked, None, None) => {
            let advice = format!("method `{}` needs the share to prune, such as target = 0.9", entry.name);
            return Err(recipe.settings.missing("target").hint(advice));
        }
    };
    // Decimal fractions are not exact: 1 - 0.95 is a little more than 0.05.
    match recipe.init.filter(|init| entry.aim != Aim::Given && 1.0 - init > target + 1e-9) {
        None => Ok(target),
        Some(init) => refuse(
            "init",
            "the run would start sparser than it shall end".into(),
            format!("init = {init} is a density, thus sparsity {}; target = {target}", 1.0 - init),
            "a larger init, or none",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::recipe::Recipe;

    fn completed(sparsity: &str) -> Result<Sparsity> {
        let text = format!(
            "[data]\nname = 'digits'\n[model]\npreset = 'mlp'\nhidden = [8]\n[optim]\nname = 'sgd'\nlr = 0.1\n{sparsity}\n"
        );
        complete(&Recipe::parse(&text, "t.toml", &[])?.sparsity)
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for (section, first) in [
            ("target = 0.5", "a target needs a pruning method"),
            ("method = 'gmp'", "`sparsity.target` is missing"),
            ("method = 'gmp'\ntaget = 0.5", "`sparsity.target` is missing"),
            ("method = 'str'\ntarget = 0.5", "method `str` learns its sparsity"),
            ("method = 'gmp'\ntarget = 0.5\ninit = 0.2", "the run would start sparser than it shall end"),
            ("method = 'held'\ntarget = 0.5", "method `held` keeps the sparsity of the weights"),
            ("method = 'held'\ninit = 0.5", "method `held` keeps the density of the weights"),
            ("method = 'held'\ndistribution = 'erk'", "method `held` spreads no sparsity over layers"),
            (
                "method = 'held'\n[[sparsity.rule]]\nmatch = 'fc1'\ntarget = 0.5",
                "method `held` takes no target for a layer",
            ),
            (
                "method = 'granet'\ntarget = 0.5\nmin_density = 0.1",
                "method `granet` prunes all layers by one threshold",
            ),
            ("method = 'held'\nmin_density = 0.1", "method `held` spreads no target over layers"),
            ("method = 'static'\npattern = '2:4'\ntarget = 0.9", "an N:M pattern has its own sparsity"),
        ] {
            let error = completed(&format!("[sparsity]\n{section}")).expect_err(section);
            let text = error.to_string();
            assert_eq!(error.kind, Kind::Usage, "{section}");
            assert!(text.starts_with(first) && text.contains("where: t.toml, line "), "{section}: {text}");
        }
        let slip = completed("[sparsity]\nmethod = 'gmp'\ntaget = 0.5").unwrap_err().to_string();
        assert!(slip.contains("did you mean `target` where it says `taget`?"), "{slip}");
    }

    #[test]
    fn densities_are_printed_as_they_are_meant() {
        for (target, want) in [("0.9", 0.1), ("0.98", 0.02), ("0.999", 0.001)] {
            let found = completed(&format!("[sparsity]\nmethod = 'rigl'\ntarget = {target}")).unwrap();
            assert_eq!(found.init, Some(want));
            assert_eq!(complete(&found).unwrap(), found, "completing twice changes nothing");
        }
    }

    #[test]
    fn the_target_is_asked_for_that_of_the_pattern_or_none() {
        for (section, want) in [
            ("", 0.0),
            ("[sparsity]\ntarget = 0", 0.0),
            ("[sparsity]\nmethod = 'str'", 0.0),
            ("[sparsity]\nmethod = 'gmp'\ntarget = 0.05\ninit = 0.95", 0.05),
            ("[sparsity]\nmethod = 'ste'\npattern = '1:4'", 0.75),
        ] {
            let once = completed(section).unwrap_or_else(|error| panic!("{section}: {error}"));
            assert_eq!(once.target, Some(want), "{section}");
            assert_eq!(complete(&once).unwrap(), once, "completing twice changes nothing: {section}");
        }
    }
}
