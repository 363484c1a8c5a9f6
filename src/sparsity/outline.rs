//! What a recipe will prune that may be packed, before anything has memory.

use super::prepare::{budget_of, is_packable};
use super::{Length, first_dense};
use crate::error::Result;
use crate::ops::packed::Form;
use crate::param::{ParamId, ParamSet};
use crate::recipe::{Sparsity, Structure};

/// What a recipe will prune that may be packed.
pub struct Outline {
    pub param: ParamId,
    pub form: Form,
    /// At the start and at the end.
    pub densities: [f64; 2],
    /// Whether its dense gradient is computed in every step.
    pub dense_grad: bool,
}

/// What a recipe will prune that may be packed, before anything has memory.
pub fn outline(recipe: &Sparsity, length: Length, params: &ParamSet) -> Result<Vec<Outline>> {
    if recipe.pattern == Structure::Filter {
        return Ok(Vec::new());
    }
    let (recipe, _, method) = first_dense::resolve(recipe, params)?;
    let Some(method) = method.filter(|method| is_packable(&**method, length)) else {
        return Ok(Vec::new());
    };
    let (maskable, budget) = budget_of(&recipe, &*method, params)?;
    let keeps = budget.keeps(recipe.target(), |target| target)?;
    let mut all = Vec::new();
    for (group, keep) in budget.groups.iter().zip(keeps) {
        let may_pack =
            |&i: &usize| budget.tensors()[i].form.is_packable() && params[maskable[i]].is_multiplied;
        for member in group.members.iter().copied().filter(may_pack) {
            let density = keep as f64 / group.len as f64;
            let densities = [density.max(1.0 - recipe.initial()), density];
            let param = maskable[member];
            let form = budget.tensors()[member].form.packed(params[param].window.is_some());
            all.push(Outline { param, form, densities, dense_grad: method.mean().is_some() });
        }
    }
    Ok(all)
}
