//! No pruning: the dense baseline.

use super::Entry;
use crate::sparsity::Stage;

pub const ENTRY: Entry = Entry {
    name: "none",
    about: "no pruning: the dense baseline",
    paper: "",
    order: &[Stage::Forward, Stage::Backward, Stage::Update],
    settings: Vec::new,
    build: |_, _| Ok(None),
};
