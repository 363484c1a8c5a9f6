//! Which tensors of a network are written without their zeros.

use crate::error::{Error, Result};
use crate::store::{Array, Arrays};

/// Tensors with their names.
pub type Named<'a> = Vec<(&'a str, &'a Array)>;

/// Whether some of a weight's numbers are 0: a matrix or a kernel of floats, whatever its name.
pub fn is_pruned(array: &Array) -> bool {
    array.dtype.is_float() && array.shape.len() >= 2 && array.to_f32().contains(&0.0)
}

/// Those that are chosen, and all others.
///
/// # Errors
/// `none`, where none is chosen.
pub fn split(
    weights: &Arrays,
    chosen: impl Fn(&str, &Array) -> bool,
    none: fn() -> Error,
) -> Result<(Named<'_>, Named<'_>)> {
    let all = weights.iter().map(|(name, array)| (name.as_str(), array));
    let lots: (Named, Named) = all.partition(|(name, array)| chosen(name, array));
    if lots.0.is_empty() { Err(none()) } else { Ok(lots) }
}

/// The error of forms for any pruned weight.
pub fn nothing_is_pruned() -> Error {
    Error::usage("no weight of this network is pruned")
        .at("this format is for weights of which some are 0")
        .hint("a run that was pruned, or --to safetensors")
}

/// Rows and columns of a weight as a matrix: outputs, and all that an output reads.
pub fn sides(shape: &[usize]) -> [usize; 2] {
    [shape[0], shape[1..].iter().product()]
}

/// What is told of a form: `2 of 4 tensors in CSR, with 1702 of 17024 weights`.
pub fn told(pruned: &Named, whole: &Named, form: &str) -> String {
    let kept = |array: &Array| array.to_f32().iter().filter(|&&value| value != 0.0).count();
    let [kept, total] = pruned
        .iter()
        .fold([0, 0], |[kept_so_far, total], (_, array)| [kept_so_far + kept(array), total + array.len()]);
    format!(
        "{} of {} tensors {form}, with {kept} of {total} weights",
        pruned.len(),
        pruned.len() + whole.len()
    )
}
