//! The layers, one a file; `product` is what linear layers and convolutions compute.

pub(super) mod activation;
pub(super) mod add;
pub(super) mod attention;
pub(super) mod batch_norm;
pub(super) mod concat;
pub(super) mod conv2d;
pub(super) mod dropout;
pub(super) mod embedding;
pub(super) mod flatten;
pub(super) mod layer_norm;
pub(super) mod lengths;
pub(super) mod linear;
pub(super) mod multiply;
pub(super) mod pad_channels;
pub(super) mod patches;
pub(super) mod pool;
pub(super) mod positions;
mod product;
pub(super) mod recurrent;
pub(super) mod relu;
pub(super) mod resize;
pub(super) mod scale;
pub(super) mod slice;
pub(super) mod steps;
