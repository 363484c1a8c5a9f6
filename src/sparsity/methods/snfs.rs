//! SNFS: the smallest weights are dropped, and those grown whose gradient had the largest running mean.
//!
//! Dettmers & Zettlemoyer, 2019, "Sparse networks from scratch". As rigl runs it each layer keeps its number of weights;
//! with `redistribute = true` layers share what all have dropped, as the authors' code does it. The running mean is dense,
//! also beside packed weights.

use toml::Value;

use super::dynamic::Dynamic;
use super::{Aim, Entry, Heed, Start};
use crate::error::Error;
use crate::recipe::Distribution;
use crate::sparsity::Stage;
use crate::sparsity::update::growth::{By, Growth};

pub const ENTRY: Entry = Entry {
    name: "snfs",
    about: "constant sparsity; drops the smallest weights, grows by a running mean of the dense gradient",
    paper: "Dettmers & Zettlemoyer 2019",
    order: &[Stage::Forward, Stage::Backward, Stage::Update, Stage::Masks],
    aim: Aim::Asked,
    start: Start::Random,
    distribution: Distribution::Erk,
    schedule: Heed::All,
    heeds_init: false,
    settings: || {
        vec![
            Growth::setting(By::Momentum, 0.3, 0.0),
            ("decay", Value::Float(0.9)),
            ("redistribute", Value::Boolean(false)),
        ]
    },
    unheeded: Growth::unheeded,
    build: |recipe, settings| {
        let decay = settings.f32("decay")?;
        if !(0.0..1.0).contains(&decay) {
            return Err(settings.wrong("decay", "a number from 0 up to, not including, 1"));
        }
        let mut method = Dynamic::read(recipe, settings, false)?;
        (method.decay, method.growth.redistributes) = (decay, settings.bool("redistribute")?);
        if method.growth.redistributes && method.growth.by != By::Momentum {
            let error = Error::usage("layers share what they have dropped by running means of the gradient")
                .at(format!("growth.by = \"{}\" keeps none", method.growth.by.name()));
            return Err(settings.locate("redistribute", error).hint("growth.by = \"momentum\""));
        }
        Ok(Some(Box::new(method)))
    },
};
