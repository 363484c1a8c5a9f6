//! Masks that are found, not made: zeros among the weights that a run starts with stay zeros.
//!
//! What was pruned before, here or elsewhere, is trained further with its sparsity.

use super::{Aim, Entry, Heed, Method, Start};
use crate::param::MaskMode;
use crate::recipe::Distribution;
use crate::sparsity::{Length, Stage};

pub const ENTRY: Entry = Entry {
    name: "held",
    about: "zeros among the weights that the run starts with (`--init FILE`) stay zeros; single weights, blocks or N:M",
    paper: "",
    order: &[Stage::Forward, Stage::Backward, Stage::Update],
    aim: Aim::Given,
    start: Start::Zeros,
    distribution: Distribution::Uniform,
    schedule: Heed::Nothing,
    heeds_init: false,
    settings: Vec::new,
    unheeded: |_| Vec::new(),
    build: |_, _| Ok(Some(Box::new(Held))),
};

struct Held;

impl Method for Held {
    fn mask_mode(&self) -> MaskMode {
        MaskMode::Held
    }
    fn due(&self, _: u64, _: Length) -> Option<f64> {
        None
    }
    fn sparsity(&self, _: u64, target: f64, _: Length) -> f64 {
        target
    }
}
