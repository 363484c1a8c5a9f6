//! MdGf, mask decay gradient flow: pruned weights take part in the forward pass, less and less.
//!
//! Bambhaniya et al., 2024, "Progressive gradient flow for robust N:M sparsity training", Section 3: the forward pass
//! sees `weight (mask + D (1 - mask))`, where D falls from 1 to 0, along a line or exponentially; the gradient with
//! respect to that moves all weights, unscaled. In the fine-tuning phase D is 0.

use toml::Value;

use super::{Aim, Entry, Heed, Method, Start};
use crate::param::MaskMode;
use crate::recipe::{Distribution, PruneSchedule, unknown};
use crate::sparsity::phases::{Phase, Phases};
use crate::sparsity::structure::groups::Gate;
use crate::sparsity::{Length, Stage};

pub const ENTRY: Entry = Entry {
    name: "mdgf",
    about: "N:M chosen anew at every step; what is pruned fades from the forward pass, linearly or exponentially",
    paper: "Bambhaniya et al. 2024",
    order: &[Stage::Masks, Stage::Forward, Stage::Backward, Stage::Update],
    aim: Aim::Asked,
    start: Start::Dense,
    distribution: Distribution::Uniform,
    schedule: Heed::Every,
    heeds_init: false,
    settings: || {
        let mut all = Phases::settings(0.05, 0.1);
        all.extend([
            ("decay", Value::String("exponential".into())),
            ("share", Value::Float(0.7)),
            ("beta", Value::Float(0.0)),
        ]);
        all
    },
    unheeded: |settings| match settings.f64("beta") {
        Ok(beta) if beta > 0.0 => {
            vec![("share", "has no effect where `beta` says how fast weights fade".into())]
        }
        _ => Vec::new(),
    },
    build: |recipe, settings| {
        let curve = match settings.text("decay")? {
            "linear" => Curve::Linear,
            "exponential" => Curve::Exponential,
            other => {
                return Err(settings.locate("decay", unknown("decay", other, ["linear", "exponential"])));
            }
        };
        let beta = settings.f64("beta")?;
        if !(beta >= 0.0) {
            return Err(settings.wrong("beta", "a decay a step, or 0 for the one that `share` gives"));
        }
        let pace = if beta > 0.0 { Pace::Beta(beta) } else { Pace::Share(settings.f64("share")?) };
        if let Pace::Share(share) = pace
            && !(share > 0.0 && share <= 1.0)
        {
            return Err(settings.wrong("share", "a share of the sparse phase, above 0 and up to 1"));
        }
        let phases = Phases::read(settings)?;
        Ok(Some(Box::new(Mdgf {
            target: recipe.target(),
            schedule: recipe.schedule.clone(),
            phases,
            curve,
            pace,
        })))
    },
};

#[derive(Clone, Copy)]
enum Curve {
    Linear,
    Exponential,
}

/// How fast pruned weights fade.
#[derive(Clone, Copy)]
enum Pace {
    /// D is 0 or, exponentially, .01 after this share of the sparse phase.
    Share(f64),
    /// A decay a step.
    Beta(f64),
}

struct Mdgf {
    target: f64,
    schedule: PruneSchedule,
    phases: Phases,
    curve: Curve,
    pace: Pace,
}

impl Mdgf {
    /// D: what is left of a pruned weight in the forward pass.
    fn decay(&self, step: u64, of: u64) -> f64 {
        let beta = match (self.pace, self.curve) {
            (Pace::Beta(beta), _) => beta,
            (Pace::Share(share), Curve::Linear) => 1.0 / (share * of as f64),
            (Pace::Share(share), Curve::Exponential) => 100f64.ln() / (share * of as f64),
        };
        match self.curve {
            Curve::Linear => (1.0 - beta * step as f64).max(0.0),
            Curve::Exponential => (-beta * step as f64).exp(),
        }
    }
}

impl Method for Mdgf {
    fn mask_mode(&self) -> MaskMode {
        MaskMode::Flowing
    }
    fn due(&self, step: u64, length: Length) -> Option<f64> {
        let is_dense = self.phases.at(step, length) == Phase::Dense;
        super::recorded_at(&self.schedule, if is_dense { 0.0 } else { self.target }, step, length)
    }
    fn sparsity(&self, _: u64, target: f64, _: Length) -> f64 {
        target
    }
    fn frozen_from(&self, length: Length) -> Option<u64> {
        self.phases.frozen_from(length)
    }
    fn gate(&self, step: u64, length: Length, keep: usize, of: usize) -> Option<Gate> {
        let (keep, decay) = match self.phases.at(step, length) {
            Phase::Dense => (of, 0.0),
            Phase::Sparse { step, of } => (keep, self.decay(step, of)),
            Phase::Finetune => (keep, 0.0),
        };
        Some(Gate { keep: keep as u32, group: of as u32, decay: decay as f32 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mdgf(curve: Curve, pace: Pace) -> Mdgf {
        let phases = Phases { dense: 0.0, finetune: 0.0, freeze: false };
        Mdgf { target: 0.5, schedule: PruneSchedule::default(), phases, curve, pace }
    }

    /// The specification's worked decays.
    #[test]
    fn pruned_weights_fade_as_the_paper_says() {
        let close = |got: f64, want: f64| assert!((got - want).abs() <= 5e-7, "got {got}, want {want}");
        let linear = mdgf(Curve::Linear, Pace::Beta(2e-4));
        for (step, want) in [(0, 1.0), (1000, 0.8), (2500, 0.5), (5000, 0.0), (9000, 0.0)] {
            close(linear.decay(step, 10_000), want);
        }
        let exponential = mdgf(Curve::Exponential, Pace::Beta(1e-4));
        for (step, want) in [(0, 1.0), (1000, 0.904837), (10_000, 0.367879), (46_052, 0.01)] {
            close(exponential.decay(step, 10_000), want);
        }
        // By share: beta is 1.428571e-4 and 6.578815e-4 for a phase of 10,000 steps.
        close(mdgf(Curve::Linear, Pace::Share(0.7)).decay(1000, 10_000), 1.0 - 0.1428571);
        close(mdgf(Curve::Exponential, Pace::Share(0.7)).decay(1, 10_000), (-6.578815e-4f64).exp());
        close(mdgf(Curve::Exponential, Pace::Share(0.7)).decay(7000, 10_000), 0.01);
    }
}
