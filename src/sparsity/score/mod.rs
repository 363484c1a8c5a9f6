//! Scores: what weights are pruned by or grow by, where it is not their magnitude or their gradient of the step.

use crate::gpu::check::Check;

pub(super) mod batches;
pub(super) mod kept_sums;
pub mod mean;
pub(super) mod probe;
pub(super) mod scores;

/// Every check of this part of the room.
pub fn checks() -> Vec<Check> {
    [scores::checks(), mean::checks(), kept_sums::checks()].into_iter().flatten().collect()
}
