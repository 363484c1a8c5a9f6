//! Once-for-All: one network is trained so that smaller ones can be cut out of it and need no training of their own.
//!
//! Cai et al., 2020. A subnet is a network like any other ([`crate::nn::presets::once_for_all`]); its parameters are cut
//! out of the stored ones before its forward pass, and its gradients added to theirs after the backward pass. So every
//! layer and every kernel serves it, and what is exported is what was evaluated.

use crate::gpu::check::Check;

pub mod cut;
pub mod draw;
pub mod phases;
pub mod pick;
pub mod sort;
pub mod supernet;
pub mod taps;
pub mod target;

pub use phases::{Admitted, Phase, Phases};
pub use pick::{Density, Pick};
pub use supernet::{Part, Supernet, declare, free, record_clear, teacher};

/// Every check of this room.
pub fn checks() -> Vec<Check> {
    [cut::checks(), taps::checks(), target::checks()].into_iter().flatten().collect()
}
