//! RigL: the smallest weights are dropped and as many grown where the gradient is largest.
//!
//! Evci et al., 2020, "Rigging the Lottery", Algorithm 1. The optimizer rests on the steps of updates unless
//! `skip_update = false`.

use toml::Value;

use super::dynamic::Dynamic;
use super::{Aim, Entry, Heed, Start};
use crate::recipe::Distribution;
use crate::sparsity::Stage;
use crate::sparsity::update::growth::{By, Growth};

pub const ENTRY: Entry = Entry {
    name: "rigl",
    about: "constant sparsity; drops the smallest weights, grows those with the largest gradients",
    paper: "Evci et al. 2020",
    order: &[Stage::Forward, Stage::Backward, Stage::Masks, Stage::Update],
    aim: Aim::Asked,
    start: Start::Random,
    distribution: Distribution::Erk,
    schedule: Heed::All,
    heeds_init: false,
    settings: || vec![Growth::setting(By::Gradient, 0.3, 0.0), ("skip_update", Value::Boolean(true))],
    unheeded: Growth::unheeded,
    build: |recipe, settings| {
        let rests = settings.bool("skip_update")?;
        Ok(Some(Box::new(Dynamic::read(recipe, settings, rests)?)))
    },
};
