//! The products of a linear layer or a convolution, dense and packed: variants as data, and the choice among them by
//! measurement.
//!
//! [`linear`] records the dense ones, [`packed`] those of packed weights; tables beside them hold the variants.

use crate::gpu::check::Check;

mod dense;
pub mod linear;
pub mod packed;
mod slices;
pub mod variants;
pub mod window;

#[cfg(test)]
mod defaults_tests;

/// Every check of products.
pub fn checks() -> Vec<Check> {
    let mut all = variants::checks();
    all.extend(packed::checks());
    all
}
