//! Masks by the zeros among the weights that a run starts with.

use super::rules;
use super::structure::pool::Blocks;
use crate::error::{Error, Result};
use crate::ops::packed::{Form, Pattern};
use crate::param::{Param, ParamSet, mask_of};
use crate::recipe::{Rule, Sparsity};

/// A recipe that asks of each tensor for as many weights as are not 0. What has no zeros is dense, as is what a rule says
/// so of.
///
/// # Errors
/// `Kind::Usage` where there are no zeros at all, or nothing else in a tensor.
pub fn resolve(recipe: &Sparsity, params: &ParamSet) -> Result<Sparsity> {
    let mut found = recipe.clone();
    let (mut kept, mut total, mut holds) = (0, 0, false);
    for param in params.iter().filter(|param| param.prunable) {
        let len = param.len();
        let own = indices(param).len();
        let is_dense = rules::is_dense(&param.name, &recipe.rules);
        if own == 0 && !is_dense {
            return Err(Error::usage(format!("all weights of `{}` are 0", param.name))
                .at(format!("method `{}` holds them there: nothing would pass the layer", recipe.method))
                .hint("other weights, or a [[sparsity.rule]] that makes the layer dense"));
        }
        let dense = is_dense || own == len;
        let target = (!dense).then(|| 1.0 - own as f64 / len as f64);
        found.rules.push(Rule { dense, target, ..Rule::dense(&param.name) });
        (kept, total, holds) = (kept + if dense { len } else { own }, total + len, holds || !dense);
    }
    if !holds {
        return Err(Error::usage(format!("there are no zeros for method `{}` to hold", recipe.method))
            .at("every weight that may be pruned starts with another value")
            .hint("--init FILE, with the weights of a pruned network; or a method that prunes"));
    }
    found.target = Some(1.0 - kept as f64 / total as f64);
    Ok(found)
}

/// The weights of a parameter that do not start at 0.
///
/// # Errors
/// `Kind::Usage` where they are not of the parameter's form.
pub fn pattern(param: &Param) -> Result<Pattern> {
    let (indices, rows, inner) = (indices(param), param.matrix().rows, param.matrix().inner());
    let mask = mask_of(&indices, param.len());
    let pattern = match param.form {
        Form::Tile { .. } | Form::Parts { .. } if is_whole(&mask, Blocks::new(param.form, rows, inner)) => {
            Some(Pattern::from_indices(param.form, rows, inner, &indices))
        }
        Form::Tile { .. } | Form::Parts { .. } => None,
        Form::Groups { .. } if !is_alike(param, &mask) => None,
        form @ Form::Groups { .. } => {
            let (rows, channels) = param.matrix().by_tap();
            Pattern::from_mask(form, rows, channels, &mask)
        }
        form => Pattern::from_mask(form, rows, inner, &mask),
    };
    pattern.ok_or_else(|| {
        Error::usage(format!("the zeros of `{}` are not of the pattern {}", param.name, param.form.name()))
            .at(format!("{} of {} weights are not 0", indices.len(), param.len()))
            .hint("pattern = \"free\", or the pattern that these weights were pruned by")
    })
}

fn indices(param: &Param) -> Vec<u32> {
    let values = param.initial_values().into_iter().enumerate();
    values.filter(|(_, value)| *value != 0.0).map(|(index, _)| index as u32).collect()
}

/// Whether all parts of a parameter that are to be alike are.
fn is_alike(param: &Param, mask: &[u32]) -> bool {
    let (rows, inner) = (param.matrix().rows, param.matrix().inner());
    is_whole(mask, Blocks::new(Form::Parts { number: param.alike }, rows, inner))
}

/// Whether a mask keeps or leaves out every block as a whole.
fn is_whole(mask: &[u32], blocks: Blocks) -> bool {
    let mut kept = vec![None; blocks.count()];
    blocks.of_weights().enumerate().all(|(index, block)| {
        let own = mask[index / 32] >> (index % 32) & 1;
        *kept[block].get_or_insert(own) == own
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn param(name: &str, values: &[f32]) -> Param {
        let mut param = Param::new(name, &[4, values.len() / 4], Box::new(|_| 0.0));
        param.begin_with(values.to_vec());
        param.prunable = true;
        param
    }

    fn recipe() -> Sparsity {
        Sparsity { method: "held".into(), ..Sparsity::none() }
    }

    #[test]
    fn each_tensor_is_asked_for_what_it_has() {
        let whole = param("b.weight", &[1.0; 4]);
        let params: ParamSet =
            [param("a.weight", &[1.0, 0.0, -0.0, 2.0, 0.0, 0.0, 0.0, 3.0]), whole].into_iter().collect();
        let found = resolve(&recipe(), &params).unwrap();
        assert_eq!(found.target, Some(1.0 - 7.0 / 12.0));
        let said: Vec<_> = found.rules.iter().map(|rule| (rule.dense, rule.target)).collect();
        assert_eq!(said, [(false, Some(0.625)), (true, None)]);
        // What a rule makes dense keeps its zeros no longer.
        let rule = Rule::dense("a");
        let dense = Sparsity { rules: vec![rule], ..recipe() };
        assert!(resolve(&dense, &params).unwrap_err().to_string().contains("there are no zeros"));
        let none: ParamSet = [param("a.weight", &[0.0; 4])].into_iter().collect();
        assert!(resolve(&recipe(), &none).unwrap_err().to_string().contains("all weights of `a.weight`"));
    }

    #[test]
    fn zeros_must_be_of_the_form() {
        let mut own = param("w", &[1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
        let tile = |rows, columns| Form::Tile { rows, columns };
        for (form, fits) in [
            (Form::Free, true),
            (Form::Block { height: 4 }, true),
            (Form::Groups { keep: 1, of: 2 }, true),
            (tile(3, 1), true),
            (tile(2, 2), false),
        ] {
            own.form = form;
            let kept = pattern(&own).map(|pattern| pattern.mask());
            assert_eq!(kept.is_ok(), fits, "{form:?}");
            assert!(!fits || kept.unwrap() == [0b0101_0101], "{form:?}");
        }
        let mut uneven = param("w", &[1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
        uneven.form = Form::Groups { keep: 1, of: 2 };
        assert!(pattern(&uneven).is_ok());
        uneven.form = Form::Block { height: 4 };
        let text = pattern(&uneven).unwrap_err().to_string();
        assert!(text.contains("the zeros of `w` are not of the pattern 4x1"), "{text}");
    }
}
