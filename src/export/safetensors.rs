//! Dense tensors with zeros in place, as PyTorch names and lays them out.

use std::path::Path;

use super::{Format, Source};
use crate::error::Result;
use crate::store::{Array, Arrays, Dtype, safetensors};

pub const FORMAT: Format = Format {
    name: "safetensors",
    about: "dense tensors with PyTorch's names and layout; pruned weights are zeros",
    write,
};

fn write(source: &Source, path: &Path) -> Result<Vec<String>> {
    let mut weights = source.weights.clone();
    weights.extend(batch_counts(&weights));
    safetensors::write(path, &weights, &[("format", "pt")])?;
    Ok(vec![format!("{}: {} tensors", path.display(), weights.len())])
}

/// What PyTorch keeps beside running statistics, so that a strict `load_state_dict` finds all that it looks for. With a
/// momentum, which Coppice has, nothing depends on how many batches there were.
fn batch_counts(weights: &Arrays) -> Arrays {
    let layers = weights.keys().filter_map(|name| name.strip_suffix("running_mean"));
    let none = Array::new(Dtype::I64, [], vec![0; Dtype::I64.bytes()]);
    layers.map(|layer| (format!("{layer}num_batches_tracked"), none.clone())).collect()
}
