//! No pruning: the dense baseline.

use super::{Aim, Entry, Heed, Start};
use crate::recipe::Distribution;
use crate::sparsity::Stage;

pub const ENTRY: Entry = Entry {
    name: "none",
    about: "no pruning: the dense baseline",
    paper: "",
    order: &[Stage::Forward, Stage::Backward, Stage::Update],
    aim: Aim::Nothing,
    start: Start::Dense,
    distribution: Distribution::Global,
    schedule: Heed::Nothing,
    heeds_init: false,
    settings: Vec::new,
    unheeded: |_| Vec::new(),
    build: |_, _| Ok(None),
};
