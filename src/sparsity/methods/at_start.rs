//! SNIP and GraSP: one mask from the first batch, then training from the initial weights.
//!
//! Lee, Ajanthan & Torr, 2019, "SNIP: single-shot network pruning based on connection sensitivity", Algorithm 1; Wang,
//! Zhang & Grosse, 2020, "Picking winning tickets before training by preserving gradient flow", Algorithm 1, at
//! temperature 1. The optimizer rests on the first step. With `distribution = "global"` one threshold serves all
//! layers; with another, each layer has its own number.

use super::{Aim, Entry, Heed, Method, Start};
use crate::error::Result;
use crate::param::Flow;
use crate::recipe::{Distribution, Sparsity};
use crate::sparsity::prune::Criterion;
use crate::sparsity::{Length, Stage};

const ORDER: &[Stage] = &[Stage::Forward, Stage::Backward, Stage::Masks, Stage::Update];

pub const SNIP: Entry = Entry {
    name: "snip",
    about: "one mask before training: the largest |weight x gradient| of the first batch",
    paper: "Lee et al. 2019",
    order: ORDER,
    aim: Aim::Asked,
    start: Start::Dense,
    distribution: Distribution::Global,
    schedule: Heed::Nothing,
    heeds_init: false,
    settings: Vec::new,
    unheeded: |_| Vec::new(),
    build: |recipe, _| build(recipe, Criterion::Saliency),
};

pub const GRASP: Entry = Entry {
    name: "grasp",
    about: "one mask before training that keeps the gradient flowing, by a Hessian product on the first batch",
    paper: "Wang et al. 2020",
    order: ORDER,
    aim: Aim::Asked,
    start: Start::Dense,
    distribution: Distribution::Global,
    schedule: Heed::Nothing,
    heeds_init: false,
    settings: Vec::new,
    unheeded: |_| Vec::new(),
    build: |recipe, _| build(recipe, Criterion::Flow),
};

fn build(recipe: &Sparsity, criterion: Criterion) -> Result<Option<Box<dyn Method>>> {
    Ok(Some(Box::new(AtStart { target: recipe.target(), criterion })))
}

struct AtStart {
    target: f64,
    criterion: Criterion,
}

impl Method for AtStart {
    fn flow(&self) -> Flow {
        Flow::Held
    }
    fn due(&self, step: u64, _: Length) -> Option<f64> {
        (step == 0).then_some(self.target)
    }
    fn sparsity(&self, _: u64, target: f64, _: Length) -> f64 {
        target
    }
    fn criterion(&self) -> Criterion {
        self.criterion
    }
    fn rests(&self, step: u64, _: Length) -> bool {
        step == 0
    }
}
