//! The layers, one a file.

pub(super) mod activation;
pub(super) mod add;
pub(super) mod concat;
pub(super) mod linear;
pub(super) mod relu;
pub(super) mod slice;
