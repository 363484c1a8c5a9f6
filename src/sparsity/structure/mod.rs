//! Structure: N of every M, blocks, filters, and the order of hidden units that suits N:M.

use crate::gpu::check::Check;

pub mod exchange;
pub mod filters;
pub mod groups;
pub mod permute;
pub mod pool;

/// Every check of this part of the room.
pub fn checks() -> Vec<Check> {
    [groups::checks(), pool::checks(), filters::checks(), permute::checks(), exchange::checks()]
        .into_iter()
        .flatten()
        .collect()
}
