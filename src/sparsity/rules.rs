//! What `[[sparsity.rule]]` says of a tensor by its name: later rules win.

use crate::error::{Error, Result};
use crate::ops::packed::Form;
use crate::param::{Matrix, ParamSet};
use crate::recipe::{KeepPart, Rule, Structure, glob};

/// Whether the last rule for the tensor of this name makes it dense.
pub fn is_dense(name: &str, rules: &[Rule]) -> bool {
    rules.iter().rfind(|rule| fits(&rule.matches, name)).is_some_and(|rule| rule.dense)
}

/// Whether the last rule for the tensor of this name that says so keeps its diagonal.
pub fn keeps_diagonal(name: &str, rules: &[Rule]) -> bool {
    said(rules, name, |rule| rule.keep) == Some(KeepPart::Diagonal)
}

/// Lets what no method prunes unasked, such as embeddings and positions, be pruned by rules that name it in full.
pub fn allow(rules: &[Rule], params: &mut ParamSet) {
    for param in params.iter_mut().filter(|param| param.learns() && !param.prunable) {
        param.prunable = rules.iter().any(|rule| rule.matches == param.name && !rule.dense);
    }
}

/// In how many equal parts of its outputs the tensor of this name keeps the same weights.
pub fn alike(name: &str, rules: &[Rule]) -> usize {
    said(rules, name, |rule| rule.alike).map_or(1, |parts| parts as usize)
}

/// Some multiples of it are still numbers of 32 bits.
const LARGEST_GROUP: u32 = 1 << 20;

/// What the last rule for a tensor says that says anything, of those after one that made it dense.
pub fn said<T>(rules: &[Rule], name: &str, of: impl Fn(&Rule) -> Option<T>) -> Option<T> {
    let own = rules.iter().rev().filter(|rule| fits(&rule.matches, name));
    own.take_while(|rule| !rule.dense).find_map(of)
}

/// The form that a recipe asks for in the tensor of this name and extent; later rules win.
///
/// # Errors
/// `Kind::Usage` where groups are too large for any layer, or a tensor has no such parts to be pruned alike.
pub fn form(name: &str, matrix: Matrix, pattern: Structure, rules: &[Rule]) -> Result<Form> {
    let structure = said(rules, name, |rule| rule.pattern).unwrap_or(pattern);
    let number = alike(name, rules);
    if !matrix.rows.is_multiple_of(number) {
        return Err(Error::usage(format!("`{name}` has no {number} equal parts to be pruned alike"))
            .at(format!("{} outputs; alike = {number}", matrix.rows))
            .hint("a number that divides the outputs: 2 for a weight of queries and keys"));
    }
    match structure {
        _ if is_dense(name, rules) => Ok(Form::Free),
        // Filters are budgeted by themselves.
        Structure::Filter => Ok(Form::Free),
        Structure::Free | Structure::Block { rows: 1, columns: 1 } if number > 1 => {
            Ok(Form::Parts { number })
        }
        Structure::Free | Structure::Block { rows: 1, columns: 1 } => Ok(Form::Free),
        Structure::Block { .. } if number > 1 => Err(Error::usage(format!(
            "`{name}` cannot be pruned alike in parts and by blocks of {structure}"
        ))
        .at(format!("alike = {number}"))
        .hint("pattern = \"free\" or N:M in the rule")),
        Structure::Groups { keep, of } if of <= LARGEST_GROUP => {
            Ok(Form::Groups { keep: keep as usize, of: of as usize })
        }
        Structure::Groups { .. } => {
            Err(Error::usage(format!("`{name}` cannot have the pattern {structure}"))
                .at(format!("groups have at most {LARGEST_GROUP} inputs"))
                .hint("a smaller M: a group of as many inputs as the layer has is a whole row"))
        }
        // Packed products read whole blocks.
        Structure::Block { rows: height @ (4 | 8), columns: 1 }
            if matrix.rows.is_multiple_of(height as usize) =>
        {
            Ok(Form::Block { height: height as usize })
        }
        Structure::Block { rows, columns } => {
            Ok(Form::Tile { rows: rows as usize, columns: columns as usize })
        }
    }
}

/// `fc1` names the layer, `fc1.weight` its tensor; a rule may say either.
pub fn fits(pattern: &str, name: &str) -> bool {
    let layer = name.rsplit_once('.').map_or(name, |(layer, _)| layer);
    glob(pattern, name) || glob(pattern, layer)
}
