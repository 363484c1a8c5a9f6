//! Networks: layers, the graph that they make, and the passes through it.
//!
//! A [`Graph`] describes a network; a [`Model`] is one whose layers are built. A [`Schedule`] says which calls a pass takes
//! and how long each tensor is needed, an [`Arena`] which buffers they share, and a [`Pass`] is recorded.

mod alone;
mod arena;
mod build;
mod carried;
mod coupling;
mod equal;
mod extent;
mod fuse;
mod graph;
mod init;
pub mod layer;
mod layers;
mod model;
mod pass;
mod planner;
pub mod presets;
pub mod reach;
mod recompute;
mod schedule;
pub mod space;
mod statistics;

pub use alone::Alone;
pub use arena::{Arena, Placement, Room, place};
pub use carried::Carried;
pub use coupling::{Coupling, Passing};
pub use extent::Extent;
pub use graph::{DATA, Graph, PLAIN, Value};
pub use model::{Head, Model, Node};
pub use pass::{Copies, Left, Pass};
pub use reach::Cut;
pub use schedule::{Call, Gradients, Item, Key, Life, Schedule, Wish};
pub use space::{Space, Subnet};

#[cfg(test)]
mod tests;
