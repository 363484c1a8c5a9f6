//! RigL: the smallest weights are dropped and as many grown where the gradient is largest.
//!
//! Evci et al., 2020, "Rigging the Lottery", Algorithm 1. Updates fall on the schedule's grid, from its begin up to,
//! not including, its end; the optimizer rests on their steps unless `skip_update = false`.

use toml::{Table, Value};

use super::{Entry, Method, Start};
use crate::param::Flow;
use crate::recipe::{Distribution, PruneSchedule};
use crate::sparsity::regrow::Regrowth;
use crate::sparsity::{Length, Stage};

pub const ENTRY: Entry = Entry {
    name: "rigl",
    about: "constant sparsity; drops the smallest weights, grows those with the largest gradients",
    paper: "Evci et al. 2020",
    order: &[Stage::Forward, Stage::Backward, Stage::Masks, Stage::Update],
    start: Start::Random,
    distribution: Distribution::Erk,
    settings: || vec![("growth", Value::Table(growth())), ("skip_update", Value::Boolean(true))],
    build: |recipe, settings| {
        Ok(Some(Box::new(Rigl {
            target: recipe.target,
            schedule: recipe.schedule.clone(),
            regrowth: Regrowth::read(&settings.table("growth")?, recipe.schedule.clone())?,
            rests: settings.bool("skip_update")?,
        })))
    },
};

/// `growth = { by = "gradient", fraction = { type = "cosine", start = 0.3, power = 1.0 } }`
fn growth() -> Table {
    let fraction = Table::from_iter([
        ("type".to_string(), Value::String("cosine".into())),
        ("start".to_string(), Value::Float(0.3)),
        ("power".to_string(), Value::Float(1.0)),
    ]);
    Table::from_iter([
        ("by".to_string(), Value::String("gradient".into())),
        ("fraction".to_string(), Value::Table(fraction)),
    ])
}

struct Rigl {
    target: f64,
    schedule: PruneSchedule,
    regrowth: Regrowth,
    rests: bool,
}

impl Method for Rigl {
    fn flow(&self) -> Flow {
        Flow::Held
    }
    fn due(&self, step: u64, length: Length) -> Option<f64> {
        let (_, end) = self.schedule.bounds(length.steps, length.steps_per_epoch);
        let due = step < end && self.schedule.updates_at(step, length.steps, length.steps_per_epoch);
        due.then_some(self.target)
    }
    fn sparsity(&self, _: u64, target: f64, _: Length) -> f64 {
        target
    }
    fn regrowth(&self) -> Option<&Regrowth> {
        Some(&self.regrowth)
    }
    fn rests(&self) -> bool {
        self.rests
    }
}
