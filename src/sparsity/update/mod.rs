//! Updates: what a new mask does to weights, by pruning, by dropping and growing, and in every step.

use crate::gpu::check::Check;

pub(super) mod backward_set;
pub(super) mod filters;
pub(super) mod fired;
mod floored;
pub(super) mod flowing;
pub mod grown;
pub mod growth;
pub mod hold;
pub mod prune;
pub mod redistribute;
pub mod regrow;
pub mod shrink;
pub(super) mod soft;
pub mod threshold;

/// Every check of this part of the room.
pub fn checks() -> Vec<Check> {
    [hold::checks(), threshold::checks(), shrink::checks(), grown::checks(), fired::checks()]
        .into_iter()
        .flatten()
        .collect()
}
