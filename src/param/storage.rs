//! How the values of a parameter are stored, and what happens to those that are pruned.

use crate::gpu::Tensor;
use crate::ops::packed::Index;

/// What happens to a pruned weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaskMode {
    /// There is no mask.
    Free = 0,
    /// Pruned weights and their optimizer slots are exactly 0.
    Held = 1,
    /// Pruned weights keep a value behind the mask and see no gradient; the forward pass sees 0.
    Latent = 2,
    /// Pruned weights keep a value behind the mask and are trained; the forward pass sees some share of it.
    Flowing = 3,
}

pub enum Storage {
    /// All values; none is pruned.
    Dense,
    /// All values, and a bit for each.
    Masked(MaskMode),
    /// The values that are kept; pruned ones are 0.
    Packed(Box<Packed>),
}

/// What a packed parameter has besides its one segment of values.
pub struct Packed {
    pub index: Index,
    /// A bit for every value: what the last selection among them picked.
    pub picked: Tensor,
}

impl Storage {
    pub fn name(&self) -> &'static str {
        match self {
            Storage::Dense => "dense",
            Storage::Masked(_) => "masked",
            Storage::Packed(_) => "packed",
        }
    }
}
