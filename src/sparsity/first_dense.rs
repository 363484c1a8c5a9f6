//! Uniform sparsity with a dense first layer, which nothing makes up for.
//!
//! Evci et al., 2020, Section 3, "Uniform": all layers but the first have the sparsity that is asked for. All else in this
//! room speaks of the whole network, so such a recipe becomes one that does: what the dense layer adds is taken into
//! its numbers. So does one whose masks are the zeros of the first weights (`zeros.rs`).

use super::methods::{self, Entry, Method, Start};
use super::prepare::budget_of;
use super::zeros;
use crate::error::{Error, Result};
use crate::param::ParamSet;
use crate::recipe::{Distribution, Rule, Sparsity};

/// A recipe, its entry in the list, and its method; none prunes nothing.
pub type Resolved = (Sparsity, &'static Entry, Option<Box<dyn Method>>);

/// A recipe by numbers of the whole network, which most are already, and its method.
///
/// # Errors
/// `Kind::Usage` for an unknown method, or where nothing is left to prune.
pub fn resolve(recipe: &Sparsity, params: &ParamSet) -> Result<Resolved> {
    let (entry, method) = methods::resolve(recipe)?;
    if entry.start == Start::Zeros {
        return Ok((zeros::resolve(recipe, params)?, entry, method));
    }
    let Some(own) = method.as_ref().filter(|_| recipe.spread() == Distribution::UniformFirstDense) else {
        return Ok((recipe.clone(), entry, method));
    };
    let whole = of_the_whole(recipe, &**own, params)?;
    let (entry, method) = methods::resolve(&whole)?;
    Ok((whole, entry, method))
}

fn of_the_whole(recipe: &Sparsity, method: &dyn Method, params: &ParamSet) -> Result<Sparsity> {
    let mut whole = recipe.clone();
    let mut maskable = params.iter().filter(|param| param.prunable);
    let (Some(first), Some(_)) = (maskable.next(), maskable.next()) else {
        return Err(Error::usage("nothing is left to prune: the first layer is the only one")
            .at(format!("distribution = \"{}\"", recipe.spread().name()))
            .hint("distribution = \"uniform\""));
    };
    // The first of the rules: one that the recipe has for this layer wins.
    whole.rules.insert(0, Rule::dense(&first.name));
    whole.distribution = Some(Distribution::Uniform);
    let (_, budget) = budget_of(&whole, method, params)?;
    whole.target = recipe.target.map(|target| budget.sparsity_of_all(target, |own| own));
    // A density of 1 is exact, whatever patterns leave at the end.
    let initial = recipe.initial();
    let start = || 1.0 - budget.sparsity_of_all(initial, |own| own.min(initial));
    whole.init = recipe.init.map(|init| if init < 1.0 { start() } else { init });
    Ok(whole)
}
