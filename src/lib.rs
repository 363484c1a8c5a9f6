//! Coppice trains neural networks and prunes them while they train, on any GPU that speaks Vulkan, Metal or
//! DX12. Every piece of mathematics is a WGSL compute shader; a small host schedules shaders and pruning.
//!
//! The rooms, in the order in which they may use each other, are described in `docs/ARCHITECTURE.md`.

pub mod cli;
pub mod data;
pub mod distill;
pub mod error;
pub mod export;
pub mod gpu;
pub mod nn;
pub mod ops;
pub mod optim;
pub mod param;
pub mod random;
pub mod recipe;
pub mod report;
pub mod search;
pub mod shrink;
pub mod sparsity;
pub mod store;
pub mod train;
