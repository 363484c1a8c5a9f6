//! No pruning: the dense baseline.

use super::{Entry, Start};
use crate::recipe::Distribution;
use crate::sparsity::Stage;

pub const ENTRY: Entry = Entry {
    name: "none",
    about: "no pruning: the dense baseline",
    paper: "",
    order: &[Stage::Forward, Stage::Backward, Stage::Update],
    start: Start::Dense,
    distribution: Distribution::Global,
    settings: Vec::new,
    build: |_, _| Ok(None),
};
