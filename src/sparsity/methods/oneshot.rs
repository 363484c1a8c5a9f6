//! One-shot magnitude pruning, and ASP: train dense, prune once, train on.
//!
//! ASP is NVIDIA's recipe for 2:4 hardware (apex, `contrib/sparsity`): before it prunes it permutes input channels, and
//! the outputs of the layer before, so that more magnitude is kept; then the optimizer's slots begin at 0 again. Layers
//! whose outputs are no multiple of 8, or whose inputs are none of 16, stay dense.

use toml::Value;

use super::{Aim, Entry, Heed, Method, Start, pooling};
use crate::error::{Error, Result};
use crate::param::Flow;
use crate::recipe::{Curve, Distribution, Duration, Sparsity, Structure};
use crate::sparsity::pool::Pooling;
use crate::sparsity::{Length, Stage};

const ORDER: &[Stage] = &[Stage::Masks, Stage::Forward, Stage::Backward, Stage::Update];

pub const ONESHOT: Entry = Entry {
    name: "oneshot",
    about: "trained dense, then pruned once by magnitude: single weights, blocks or N:M",
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
    about: "trained dense, then pruned once to N:M, after input channels are permuted to keep more magnitude",
    paper: "Mishra et al. 2021",
    order: ORDER,
    aim: Aim::Asked,
    start: Start::Dense,
    distribution: Distribution::Uniform,
    schedule: Heed::All,
    heeds_init: false,
    settings: || vec![("permute", Value::Boolean(true)), ("reset", Value::Boolean(true))],
    unheeded: |_| Vec::new(),
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
        let asp = Asp { permute: settings.bool("permute")?, reset: settings.bool("reset")? };
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
    permute: bool,
    reset: bool,
}

impl OneShot {
    fn step(&self, length: Length) -> u64 {
        self.begin.steps(length.steps, length.steps_per_epoch)
    }
}

impl Method for OneShot {
    fn flow(&self) -> Flow {
        Flow::Held
    }
    fn due(&self, step: u64, length: Length) -> Option<f64> {
        (step == self.step(length)).then_some(self.target)
    }
    fn sparsity(&self, step: u64, target: f64, length: Length) -> f64 {
        if step < self.step(length) { 0.0 } else { target }
    }
    fn pooling(&self) -> Pooling {
        self.pooling
    }
    fn skips(&self, shape: &[usize]) -> bool {
        let inner: usize = shape[1..].iter().product();
        self.asp.is_some() && !(shape[0].is_multiple_of(8) && inner.is_multiple_of(16))
    }
    fn permutes(&self) -> bool {
        self.asp.as_ref().is_some_and(|asp| asp.permute)
    }
    fn resets(&self) -> bool {
        self.asp.as_ref().is_some_and(|asp| asp.reset)
    }
}
