//! Gradual magnitude pruning: the sparsity rises along a cubic, the smallest magnitudes go.
//!
//! Zhu & Gupta, 2017, "To prune, or not to prune", Section 3. Pruned weights and their slots are 0, or, with
//! `latent`, keep their value behind the mask and may come back. With `in_turn` each interval is divided among the layers,
//! so that one is pruned at a time: Section 4's schedule for translation, "layerwise constant".

use toml::Value;

use super::{Aim, Entry, Heed, Method, Start, pooling};
use crate::param::MaskMode;
use crate::recipe::{Distribution, PruneSchedule};
use crate::sparsity::structure::pool::Pooling;
use crate::sparsity::{Length, Stage};

pub const ENTRY: Entry = Entry {
    name: "gmp",
    about: "gradual magnitude pruning along a schedule, per tensor or global; single weights, blocks or filters, or N:M in one step; held or latent",
    paper: "Zhu & Gupta 2017",
    order: &[Stage::Masks, Stage::Forward, Stage::Backward, Stage::Update],
    aim: Aim::Asked,
    start: Start::Dense,
    distribution: Distribution::Global,
    schedule: Heed::All,
    heeds_init: true,
    settings: || vec![("pooling", Value::String("mean".into())), ("in_turn", Value::Boolean(false))],
    unheeded: |_| Vec::new(),
    build: |recipe, settings| {
        Ok(Some(Box::new(Gmp {
            schedule: recipe.schedule.clone(),
            initial: recipe.initial(),
            target: recipe.target(),
            pooling: pooling(settings)?,
            in_turn: settings.bool("in_turn")?,
            mode: if recipe.latent { MaskMode::Latent } else { MaskMode::Held },
        })))
    },
};

struct Gmp {
    schedule: PruneSchedule,
    initial: f64,
    target: f64,
    pooling: Pooling,
    in_turn: bool,
    mode: MaskMode,
}

impl Method for Gmp {
    fn prunes_filters(&self) -> bool {
        true
    }
    fn in_turn(&self) -> Option<&PruneSchedule> {
        self.in_turn.then_some(&self.schedule)
    }
    fn pooling(&self) -> Pooling {
        self.pooling
    }
    fn mask_mode(&self) -> MaskMode {
        self.mode
    }
    fn due(&self, step: u64, length: Length) -> Option<f64> {
        let due = self.schedule.updates_at(step, length.steps, length.steps_per_epoch);
        due.then(|| self.sparsity(step, self.target, length))
    }
    fn sparsity(&self, step: u64, target: f64, length: Length) -> f64 {
        self.schedule.sparsity(step, self.initial.min(target), target, length.steps, length.steps_per_epoch)
    }
}
