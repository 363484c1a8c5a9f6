//! Selection: exact top-k, whole or tile by tile, of whatever has scores.

use crate::gpu::check::Check;

pub(super) mod candidates;
pub(super) mod collect;
pub(super) mod gather;
pub(super) mod merge;
pub(super) mod protect;
pub(super) mod running;
pub(super) mod sieve;
pub mod topk;
pub(super) mod topk_small;

/// Every check of this part of the room.
pub fn checks() -> Vec<Check> {
    [
        topk::checks(),
        topk_small::checks(),
        sieve::checks(),
        collect::checks(),
        candidates::checks(),
        gather::checks(),
        merge::checks(),
        protect::checks(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
