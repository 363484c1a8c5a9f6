//! One-shot magnitude pruning, and ASP: train dense, prune once, train on.
//!
//! ASP is NVIDIA's recipe for 2:4 hardware (apex, `contrib/sparsity`): before it prunes it permutes input channels, and
//! the outputs of the layer before, so that more magnitude is kept; then training is repeated: the optimizer's slots
//! begin at 0 again, and the learning rate runs its whole course once more. Each of the two trainings has its own length,
//! which a prune in the middle of the run makes equal. The order of samples does not repeat. Layers whose outputs are no
//! multiple of 8, or whose inputs are none of 16, stay dense.

use toml::Value;

use super::{Aim, Entry, Heed, Method, Start, pooling};
use crate::error::{Error, Result};
use crate::param::{MaskMode, Matrix};
use crate::recipe::{Curve, Distribution, Duration, Sparsity, Structure};
use crate::sparsity::structure::pool::Pooling;
use crate::sparsity::{Length, Stage};

const ORDER: &[Stage] = &[Stage::Masks, Stage::Forward, Stage::Backward, Stage::Update];

pub const ONESHOT: Entry = Entry {
    name: "oneshot",
    about: "trained dense, then pruned once by magnitude: single weights, blocks, filters or N:M",
    paper: "Han et al. 2015",
    order: ORDER,
    aim: Aim::Asked,
    start: Start::Dense,
    distribution: Distribution::Global,
    schedule: Heed::All,
    heeds_init: false,
    settings: || vec![("pooling", Value::String("mean".into()))],
    unheeded: |_| Vec::new(),
    build: |recipe, settings| {
        let (begin, pooling) = (begin(recipe)?, pooling(settings)?);
        Ok(Some(Box::new(OneShot { target: recipe.target(), begin, pooling, asp: None })))
    },
};

pub const ASP: Entry = Entry {
    name: "asp",
    about: "trained dense, pruned once to N:M, after input channels are permuted to keep more magnitude, trained again",
    paper: "Mishra et al. 2021",
    order: ORDER,
    aim: Aim::Asked,
    start: Start::Dense,
    distribution: Distribution::Uniform,
    schedule: Heed::All,
    heeds_init: false,
    settings: || {
        let on = Value::Boolean(true);
        vec![("permute", on.clone()), ("rounds", Value::Integer(50)), ("reset", on.clone()), ("repeat", on)]
    },
    unheeded: |settings| match settings.bool("permute") {
        Ok(false) => vec![("rounds", "has no effect where nothing is permuted".into())],
        _ => Vec::new(),
    },
    build: |recipe, settings| {
        if !matches!(recipe.pattern, Structure::Groups { .. }) {
            let error = Error::usage("method `asp` keeps N of every M inputs")
                .at(format!("pattern = \"{}\"", recipe.pattern));
            return Err(recipe.settings.locate("pattern", error).hint("pattern = \"2:4\""));
        }
        if settings.bool("permute")? && !settings.bool("reset")? {
            let error = Error::usage("the optimizer's slots are not permuted with the weights");
            return Err(settings.locate("reset", error).hint("reset = true, or permute = false"));
        }
        let permute = settings.bool("permute")?.then(|| settings.u32("rounds")).transpose()?;
        if permute == Some(0) {
            return Err(settings.wrong("rounds", "at least 1"));
        }
        let asp = Asp { permute, reset: settings.bool("reset")?, repeat: settings.bool("repeat")? };
        let (begin, pooling) = (begin(recipe)?, Pooling::Mean);
        Ok(Some(Box::new(OneShot { target: recipe.target(), begin, pooling, asp: Some(asp) })))
    },
};

/// When it prunes.
fn begin(recipe: &Sparsity) -> Result<Duration> {
    if recipe.schedule.kind != Curve::OneShot {
        let error = Error::usage(format!("method `{}` prunes once", recipe.method))
            .at(format!("schedule.type = \"{}\"", recipe.schedule.kind.name()));
        return Err(error.hint("schedule = { type = \"oneshot\", begin = \"50%\" }"));
    }
    Ok(recipe.schedule.begin)
}

struct OneShot {
    target: f64,
    begin: Duration,
    pooling: Pooling,
    asp: Option<Asp>,
}

/// What ASP does besides pruning.
struct Asp {
    /// Hidden units, before it; in so many rounds of the search for their order, at most. Random weights take 7 to 16.
    permute: Option<u32>,
    /// The optimizer's slots and count of updates, at it.
    reset: bool,
    /// The course of the learning rate, after it.
    repeat: bool,
}

impl OneShot {
    fn step(&self, length: Length) -> u64 {
        self.begin.steps(length.steps, length.steps_per_epoch)
    }
}

impl Method for OneShot {
    fn mask_mode(&self) -> MaskMode {
        MaskMode::Held
    }
    fn due(&self, step: u64, length: Length) -> Option<f64> {
        (step == self.step(length)).then_some(self.target)
    }
    fn sparsity(&self, step: u64, target: f64, length: Length) -> f64 {
        if step < self.step(length) { 0.0 } else { target }
    }
    fn prunes_filters(&self) -> bool {
        self.asp.is_none()
    }
    fn pooling(&self) -> Pooling {
        self.pooling
    }
    fn skips(&self, matrix: Matrix) -> bool {
        self.asp.is_some() && !(matrix.rows.is_multiple_of(8) && matrix.inner().is_multiple_of(16))
    }
    fn permutes(&self) -> Option<u32> {
        self.asp.as_ref()?.permute
    }
    fn resets(&self) -> bool {
        self.asp.as_ref().is_some_and(|asp| asp.reset)
    }
    fn clock(&self, step: u64, length: Length) -> (u64, Length) {
        let begin = self.step(length).min(length.steps);
        let (first, end) = match &self.asp {
            Some(asp) if asp.repeat && step < begin => (0, begin),
            Some(asp) if asp.repeat => (begin, length.steps),
            _ => (0, length.steps),
        };
        (step - first, Length { steps: end - first, ..length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_trainings_of_asp_run_a_whole_course_each_of_its_own_length() {
        let length = Length { steps: 20, steps_per_epoch: 4 };
        let clock = |begin: u64, repeat: bool, step: u64| {
            let asp = Some(Asp { permute: None, reset: true, repeat });
            let begin = Duration::Steps(begin);
            let (own, course) =
                OneShot { target: 0.5, begin, pooling: Pooling::Mean, asp }.clock(step, length);
            assert_eq!(course.steps_per_epoch, 4);
            (own, course.steps)
        };
        assert_eq!([0, 6, 7, 19].map(|step| clock(7, true, step)), [(0, 7), (6, 7), (0, 13), (12, 13)]);
        assert_eq!([0, 19].map(|step| clock(0, true, step)), [(0, 20), (19, 20)]);
        assert_eq!(clock(20, true, 19), (19, 20), "never pruned");
        assert_eq!(clock(25, true, 19), (19, 20), "never pruned");
        assert_eq!([6, 7].map(|step| clock(7, false, step)), [(6, 20), (7, 20)]);
        let oneshot = OneShot { target: 0.5, begin: Duration::Steps(7), pooling: Pooling::Mean, asp: None };
        assert_eq!(oneshot.clock(8, length), (8, length));
    }
}
