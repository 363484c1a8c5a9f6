//! Structure: N of every M, blocks, filters, and the order of hidden units that suits N:M.

use crate::gpu::check::Check;

pub mod alike;
pub mod exchange;
pub mod filters;
pub mod groups;
pub mod permute;
pub mod pool;

/// Every check of this part of the room.
pub fn checks() -> Vec<Check> {
    let by_patterns = [groups::checks(), pool::checks(), alike::checks(), filters::checks()];
    let by_order = [permute::checks(), exchange::checks()];
    by_patterns.into_iter().chain(by_order).flatten().collect()
}
