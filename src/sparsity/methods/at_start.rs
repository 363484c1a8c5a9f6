//! SNIP and GraSP: one mask from the first batch or batches, then training from the initial weights.
//!
//! Lee, Ajanthan & Torr, 2019, "SNIP: single-shot network pruning based on connection sensitivity", Algorithm 1; Wang,
//! Zhang & Grosse, 2020, "Picking winning tickets before training by preserving gradient flow", Algorithm 1;
//! its code divides logits by a temperature of 200. The optimizer rests on the first step. With `distribution = "global"` one threshold serves all
//! layers; with another, each layer has its own number.

use toml::Value;

use super::{Aim, Entry, Heed, Method, Sizes, Start};
use crate::error::{Error, Result};
use crate::param::MaskMode;
use crate::recipe::{Distribution, Sparsity};
use crate::sparsity::update::prune::Criterion;
use crate::sparsity::{Length, Stage};

const ORDER: &[Stage] = &[Stage::Forward, Stage::Backward, Stage::Masks, Stage::Update];

pub const SNIP: Entry = Entry {
    name: "snip",
    about: "one mask before training: the largest |weight x gradient| of the first batch, or summed over several",
    paper: "Lee et al. 2019",
    order: ORDER,
    aim: Aim::Asked,
    start: Start::Dense,
    distribution: Distribution::Global,
    schedule: Heed::Nothing,
    heeds_init: false,
    settings: || vec![("batches", Value::Integer(1))],
    unheeded: |_| Vec::new(),
    build: |recipe, settings| {
        let batches = u64::from(settings.u32("batches")?);
        if batches == 0 {
            return Err(settings.wrong("batches", "at least 1"));
        }
        build(recipe, Criterion::Saliency { batches })
    },
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
    settings: || vec![("temperature", Value::Float(1.0))],
    unheeded: |_| Vec::new(),
    build: |recipe, settings| {
        let temperature = settings.f32("temperature")?;
        if !(1e-3..=1e6).contains(&temperature) {
            return Err(settings.wrong("temperature", "a number from 1e-3 to 1e6"));
        }
        build(recipe, Criterion::Flow { temperature })
    },
};

fn build(recipe: &Sparsity, criterion: Criterion) -> Result<Option<Box<dyn Method>>> {
    Ok(Some(Box::new(AtStart { target: recipe.target(), criterion })))
}

struct AtStart {
    target: f64,
    criterion: Criterion,
}

impl Method for AtStart {
    fn size(&mut self, _: Sizes, length: Length) -> Result<()> {
        match self.criterion {
            Criterion::Saliency { batches } if batches > length.steps_per_epoch => {
                let have = length.steps_per_epoch;
                Err(Error::usage(format!("an epoch has no {batches} batches to sum scores over"))
                    .at(format!("batches = {batches}; an epoch has {have}"))
                    .hint(format!("batches = {have}, or a smaller run.batch")))
            }
            _ => Ok(()),
        }
    }
    fn mask_mode(&self) -> MaskMode {
        MaskMode::Held
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
