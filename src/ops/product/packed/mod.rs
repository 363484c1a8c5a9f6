//! Packed weights: only what is kept exists, as values and the indices they belong to.
//!
//! [`Pattern`] says on the host which weights those are, [`Index`] holds it on a device, and [`products`] are
//! the three products of a layer over it. One format serves single weights, blocks and N:M: a row of
//! blocks of `height` rows holds its entries in order of input, an entry `height` values.

pub mod crossover;
mod form;
mod index;
mod pattern;
pub mod products;
mod table;
mod twins;
mod variant;
pub mod variants;

pub use form::Form;
pub use index::{Index, NONE, Transposed};
pub use pattern::Pattern;

use crate::gpu::check::Check;

/// Every check of packed weights.
pub fn checks() -> Vec<Check> {
    products::checks()
}
