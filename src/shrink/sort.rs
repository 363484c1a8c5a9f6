//! The order of a block's channels: the most important first, since a narrower network takes the first.
//!
//! Cai et al. 2020, Section 3.3, "elastic width". A channel's importance is the L1 norm of its weights in the convolution
//! that reads it last. Channels beyond a width in use do not move inward: they are sorted among themselves.

use crate::error::{Error, Result};
use crate::nn::Space;
use crate::nn::presets::once_for_all::layer;
use crate::param::{Param, ParamSet};

/// The channels from the most to the least important, range by range: below the smallest of the widths in `used`, and from
/// each to the next larger. Those beyond the largest stay at the end. Of equal ones the lower comes first.
pub fn order(importance: &[f64], used: &[usize]) -> Vec<usize> {
    let mut bounds: Vec<usize> = used.iter().copied().filter(|&width| width < importance.len()).collect();
    bounds.extend([0, importance.len()]);
    bounds.sort_unstable();
    let mut all: Vec<usize> = (0..importance.len()).collect();
    for range in bounds.windows(2) {
        all[range[0]..range[1]].sort_by(|&a, &b| importance[b].total_cmp(&importance[a]));
    }
    all
}

/// Sorts the channels of every block, where the first `used` expansions are in use. The full network computes what it did.
///
/// # Errors
/// Those of the device.
pub fn sort(space: &Space, params: &ParamSet, used: usize) -> Result<()> {
    for block in 0..space.blocks() {
        let param = |part: &str| -> Result<&Param> {
            let name = layer(space, block, part);
            let found = params.named(&name).map(|id| &params[id]);
            found.ok_or_else(|| Error::internal(format!("the network of the space has no `{name}`")))
        };
        let project = param("project.weight")?;
        let (outputs, values) = (project.shape[0], project.read()?);
        let width = values.len() / outputs;
        let norm = |channel: usize| {
            (0..outputs).map(|row| f64::from(values[row * width + channel]).abs()).sum::<f64>()
        };
        let importance: Vec<f64> = (0..width).map(norm).collect();
        let widths: Vec<usize> =
            space.expansions[..used].iter().map(|&expansion| space.width(block, expansion)).collect();
        let order = order(&importance, &widths);
        let permuted: Vec<f32> = values.chunks(width).flat_map(|row| order.iter().map(|&c| row[c])).collect();
        project.write(&permuted)?;
        let vectors = ["weight", "bias", "running_mean", "running_var"];
        let norms = ["expand_norm", "depth_norm"];
        let norms = norms.iter().flat_map(|norm| vectors.map(|vector| format!("{norm}.{vector}")));
        for part in norms.chain(["expand.weight", "depth.weight"].map(String::from)) {
            let param = param(&part)?;
            let values = param.read()?;
            let rows: Vec<&[f32]> = values.chunks(values.len() / width).collect();
            param.write(&order.iter().flat_map(|&row| rows[row].iter().copied()).collect::<Vec<f32>>())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked numbers of the specification, and those of `tests/oracle/make_shrink.py`.
    #[test]
    fn channels_are_sorted_range_by_range() {
        let importance = [0.5, 0.9, 0.1, 0.7, 0.3, 0.8, 0.2, 0.6];
        assert_eq!(order(&importance, &[8]), [1, 5, 3, 7, 0, 4, 6, 2]);
        assert_eq!(order(&importance, &[8, 6]), [1, 5, 3, 0, 4, 2, 7, 6]);
        assert_eq!(order(&importance, &[8, 6, 4]), [1, 3, 0, 2, 5, 4, 7, 6]);
        assert_eq!(order(&[1.0, 2.0, 1.0, 2.0], &[4]), [1, 3, 0, 2], "of equal ones the lower");
        assert_eq!(order(&[1e6, 2e6, 3e6], &[3, 2]), [1, 0, 2], "however large");
        assert!(order(&[], &[0]).is_empty());
    }
}
