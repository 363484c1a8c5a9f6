//! Subnets that are pruned as they are cut out: the smallest magnitudes become 0, and nothing is trained after that.

use super::{compact, indices};
use crate::error::Result;
use crate::ops::packed::Form;
use crate::param::{Param, ParamSet};
use crate::shrink::{Density, Part};
use crate::sparsity::budget;
use crate::sparsity::select::topk::top_k;
use crate::sparsity::structure::groups::n_of_m;
use crate::store::{Array, Arrays};

/// What a network comes to whose layers keep as much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Size {
    /// Multiplications of kept weights, for one sample.
    pub macs: u64,
    /// Weights and biases that are kept.
    pub weights: u64,
    /// Those and running statistics, as a file holds them.
    pub bytes: u64,
}

/// The size of a network with these parameters.
pub fn size(params: &ParamSet, density: Density) -> Size {
    let mut size = Size::default();
    for param in params {
        let kept = kept(param, density) as u64;
        let sites = param.product(1).flops() / 2 / param.len().max(1) as u64;
        size.macs += if param.is_multiplied { kept * sites } else { 0 };
        size.weights += if param.learns() { kept } else { 0 };
        size.bytes += stored_bytes(param, density);
    }
    size
}

/// Weights of a layer that are kept.
pub fn kept(param: &Param, density: Density) -> usize {
    let (rows, channels) = param.matrix().by_tap();
    match density {
        _ if !param.prunable => param.len(),
        Density::Full => param.len(),
        Density::Share(share) => budget::keep(param.len(), 1.0 - share),
        Density::Groups { .. } => density.form().per_row(channels).map_or(param.len(), |kept| rows * kept),
    }
}

/// Bytes of a layer as a file holds it: its kept values, and where they belong unless that is everywhere.
pub fn stored_bytes(param: &Param, density: Density) -> u64 {
    let kept = kept(param, density);
    if kept == param.len() {
        return 4 * kept as u64;
    }
    // How many words it takes depends on their number alone, and of groups on each group's number.
    let places: Vec<u32> = match density.form() {
        Form::Groups { keep, of } => {
            let channels = param.matrix().channels;
            let is_kept = |i: &u32| *i as usize % channels % of < keep;
            (0..param.len() as u32).filter(is_kept).collect()
        }
        _ => (0..kept as u32).collect(),
    };
    let mut arrays = Arrays::new();
    indices::insert(&mut arrays, "weight", density.form(), &param.shape, &places);
    arrays.insert("weight.kept".into(), Array::f32([kept], &vec![0.0; kept]));
    compact::bytes(&arrays)
}

/// Which of a layer's values are kept: the largest magnitudes, ties to the lower index.
fn mask(param: &Param, density: Density, values: &[f32]) -> Vec<bool> {
    match density {
        Density::Full => vec![true; values.len()],
        Density::Share(_) => top_k(values, kept(param, density)),
        Density::Groups { keep, of } => {
            let channels = param.matrix().channels.max(1);
            values.chunks(channels).flat_map(|row| n_of_m(row, keep, of)).collect()
        }
    }
}

/// Prunes the weights of a subnet that lie apart from the stored ones.
pub(super) fn prune(part: &mut Part, density: Density) -> Result<()> {
    for param in part.model.params.iter().filter(|param| param.prunable) {
        let mut values = param.read()?;
        let mask = mask(param, density, &values);
        values.iter_mut().zip(mask).filter(|(_, kept)| !kept).for_each(|(value, _)| *value = 0.0);
        param.write(&values)?;
    }
    part.density = density;
    Ok(())
}
