//! `growth` of a method: where weights grow, and which share is dropped for them, as a function of the step.

use toml::{Table, Value};

use super::Length;
use crate::error::{Error, Result};
use crate::recipe::{
    Curve as Shape, PruneSchedule, Settings, drop_constant, drop_cosine, drop_exponential, unknown,
};

/// How weights grow, and how many.
pub struct Growth {
    pub by: By,
    curve: Curve,
    /// The share at the begin of the span.
    start: f64,
    span: Span,
    rounding: Rounding,
}

/// What decides which weights grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The largest gradients of the step's batch.
    Gradient,
    /// A draw, a function of seed, step, parameter and place.
    Random,
    /// The largest running means of the gradient.
    Momentum,
}

impl By {
    pub const ALL: &[By] = &[By::Gradient, By::Random, By::Momentum];

    /// As recipes write it.
    pub fn name(self) -> &'static str {
        match self {
            By::Gradient => "gradient",
            By::Random => "random",
            By::Momentum => "momentum",
        }
    }
}

/// From where to where the share falls.
pub enum Span {
    /// Over the mask updates.
    Schedule(PruneSchedule),
    /// Over the whole run.
    Run,
}

/// How a share of weights becomes a number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// RigL's and SET's.
    Down,
    /// GraNet's.
    Up,
}

/// How the share falls; after the span nothing is dropped of a constant one.
#[derive(Clone, Copy, PartialEq)]
enum Curve {
    Constant,
    Cosine { end: f64 },
    Exponential { end: f64, power: f64 },
}

const CURVES: [&str; 3] = ["constant", "cosine", "exponential"];

impl Growth {
    /// The setting with its default: `{ by = "gradient", fraction = { type = "cosine", start = 0.3, end = 0.0,
    /// power = 1.0 } }`.
    pub fn setting(by: By, start: f64, end: f64) -> (&'static str, Value) {
        let fraction = Table::from_iter([
            ("type".to_string(), Value::String("cosine".into())),
            ("start".to_string(), Value::Float(start)),
            ("end".to_string(), Value::Float(end)),
            ("power".to_string(), Value::Float(1.0)),
        ]);
        let growth = Table::from_iter([
            ("by".to_string(), Value::String(by.name().into())),
            ("fraction".to_string(), Value::Table(fraction)),
        ]);
        ("growth", Value::Table(growth))
    }

    /// Settings of `growth` that others leave without effect.
    pub fn unheeded(settings: &Settings) -> Vec<(&'static str, String)> {
        let fraction = settings.table("growth").and_then(|growth| growth.table("fraction"));
        let curve =
            fraction.as_ref().ok().and_then(|fraction| fraction.text("type").ok()).unwrap_or_default();
        let power = ("growth.fraction.power", "is the exponent of type = \"exponential\"".to_string());
        match curve {
            "constant" => {
                let why = "is where a share that falls ends; type = \"constant\" stays at `start`";
                vec![("growth.fraction.end", why.into()), power]
            }
            "cosine" => vec![power],
            _ => Vec::new(),
        }
    }

    /// Reads `growth` among a method's settings.
    pub fn read(
        settings: &Settings,
        schedule: &PruneSchedule,
        span: Span,
        rounding: Rounding,
    ) -> Result<Self> {
        let growth = settings.table("growth")?;
        let name = growth.text("by")?;
        let by = By::ALL.iter().find(|by| by.name() == name);
        let unknown_by = || unknown("growth", name, By::ALL.iter().map(|by| by.name()));
        let by = *by.ok_or_else(|| growth.locate("by", unknown_by()))?;
        if schedule.kind == Shape::OneShot {
            return Err(Error::usage(
                "weights grow again and again: a one-shot schedule has no updates for that",
            )
            .hint("schedule = { begin = \"0\", end = \"75%\", every = \"100\" }"));
        }
        let fraction = growth.table("fraction")?;
        let name = fraction.text("type")?;
        let start = fraction.f64("start")?;
        if !(start > 0.0 && start <= 1.0) {
            return Err(fraction.wrong("start", "a number above 0 and up to 1"));
        }
        let end = || match fraction.f64("end")? {
            end if (0.0..=start).contains(&end) => Ok(end),
            _ => Err(fraction.wrong("end", "a number from 0 up to start")),
        };
        let curve = match name {
            "constant" => Curve::Constant,
            "cosine" => Curve::Cosine { end: end()? },
            "exponential" => match fraction.f64("power")? {
                power if power > 0.0 => Curve::Exponential { end: end()?, power },
                _ => return Err(fraction.wrong("power", "a number above 0")),
            },
            _ => return Err(fraction.locate("type", unknown("curve", name, CURVES))),
        };
        Ok(Self { by, curve, start, span, rounding })
    }

    /// The share at `step`.
    fn fraction(&self, step: u64, length: Length) -> f64 {
        let (first, last) = match &self.span {
            Span::Schedule(schedule) => schedule.bounds(length.steps, length.steps_per_epoch),
            Span::Run => (0, length.steps),
        };
        let start = self.start;
        match self.curve {
            Curve::Constant => drop_constant(start, step, last),
            Curve::Cosine { end } => drop_cosine(start, end, step, first, last),
            Curve::Exponential { end, power } => drop_exponential(start, end, power, step, first, last),
        }
    }

    /// How many of `kept` weights are dropped at `step`, and as many grown.
    pub fn drops(&self, kept: usize, step: u64, length: Length) -> usize {
        self.share_of(kept, self.fraction(step, length))
    }
    /// The most that are ever dropped of `kept` weights.
    pub(super) fn most(&self, kept: usize) -> usize {
        self.share_of(kept, self.start)
    }
    fn share_of(&self, kept: usize, fraction: f64) -> usize {
        // Decimal fractions are not exact: .3 of 10 is 3, however it rounds.
        let (share, slack) = (kept as f64 * fraction, 1e-9 * kept as f64);
        match self.rounding {
            Rounding::Down => (share + slack).trunc() as usize,
            Rounding::Up => (share - slack).ceil().max(0.0) as usize,
        }
    }
}
