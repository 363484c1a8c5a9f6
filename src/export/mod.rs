//! A trained network in forms that other programs read: a file of this room for each, and a line in its list.

use std::path::Path;

use crate::error::Result;

mod bitmask;
mod c;
mod csr;
mod onnx;
mod pruned;
mod safetensors;
mod source;
mod two_four;

pub use source::{Options, Run, Source};

/// A form of a trained network.
pub struct Format {
    /// What `--to` calls it.
    pub name: &'static str,
    pub about: &'static str,
    /// Writes a file that does not exist yet, and returns what to tell a person, by line.
    pub write: fn(&Source, &Path) -> Result<Vec<String>>,
}

/// All of them.
pub const ALL: &[Format] =
    &[safetensors::FORMAT, onnx::FORMAT, csr::FORMAT, bitmask::FORMAT, two_four::FORMAT, c::FORMAT];

/// The names of all.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|format| format.name)
}
