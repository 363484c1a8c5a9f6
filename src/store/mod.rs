//! Arrays on disk: safetensors, npy, npz, and folders that are either whole or absent.
//!
//! Nothing here knows what a weight or a checkpoint is; `train::checkpoint` and `report` build on it.

pub mod array;
pub mod digest;
pub mod folder;
pub mod header;
pub mod journal;
pub mod manifest;
pub mod npy;
pub mod npz;
pub mod safetensors;

pub use array::{Array, Arrays, Dtype};
