//! Static masks: drawn at random before the first step, never changed.
//!
//! The baseline of dynamic sparse training; what pruned weights cost when nobody chooses them.

use super::{Aim, Entry, Heed, Method, Start};
use crate::param::MaskMode;
use crate::recipe::Distribution;
use crate::sparsity::{Length, Stage};

pub const ENTRY: Entry = Entry {
    name: "static",
    about: "a mask drawn at random before the first step and never changed; single weights, blocks, filters or N:M",
    paper: "the baseline of Mocanu et al. 2018 and Evci et al. 2020",
    order: &[Stage::Forward, Stage::Backward, Stage::Update],
    aim: Aim::Asked,
    start: Start::Random,
    distribution: Distribution::Erk,
    schedule: Heed::Nothing,
    heeds_init: false,
    settings: Vec::new,
    unheeded: |_| Vec::new(),
    build: |_, _| Ok(Some(Box::new(Static))),
};

struct Static;

impl Method for Static {
    fn mask_mode(&self) -> MaskMode {
        MaskMode::Held
    }
    fn prunes_filters(&self) -> bool {
        true
    }
    fn due(&self, _: u64, _: Length) -> Option<f64> {
        None
    }
    fn sparsity(&self, _: u64, target: f64, _: Length) -> f64 {
        target
    }
}
