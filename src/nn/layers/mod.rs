//! The layers, one a file; `product` is what linear layers and convolutions compute.

pub(super) mod activation;
pub(super) mod add;
pub(super) mod batch_norm;
pub(super) mod concat;
pub(super) mod conv2d;
pub(super) mod dropout;
pub(super) mod embedding;
pub(super) mod flatten;
pub(super) mod linear;
pub(super) mod pad_channels;
pub(super) mod pool;
mod product;
pub(super) mod recurrent;
pub(super) mod relu;
pub(super) mod scale;
pub(super) mod slice;
