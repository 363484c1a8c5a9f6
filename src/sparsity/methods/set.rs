//! SET: the smallest weights are dropped and as many grown at random.
//!
//! Mocanu et al., 2018, "Scalable training of artificial neural networks with adaptive sparse connectivity". Which
//! grow is a function of seed, step, parameter and place. The optimizer works on every step.

use super::dynamic::Dynamic;
use super::{Aim, Entry, Heed, Start};
use crate::recipe::Distribution;
use crate::sparsity::Stage;
use crate::sparsity::update::growth::{By, Growth};

pub const ENTRY: Entry = Entry {
    name: "set",
    about: "constant sparsity; drops the smallest weights, grows as many at random",
    paper: "Mocanu et al. 2018",
    order: &[Stage::Forward, Stage::Backward, Stage::Update, Stage::Masks],
    aim: Aim::Asked,
    start: Start::Random,
    distribution: Distribution::Erk,
    schedule: Heed::All,
    heeds_init: false,
    settings: || vec![Growth::setting(By::Random, 0.3, 0.0)],
    unheeded: Growth::unheeded,
    build: |recipe, settings| Ok(Some(Box::new(Dynamic::read(recipe, settings, false)?))),
};
