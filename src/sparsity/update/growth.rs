//! `growth` of a method: where weights grow, and which share is dropped for them, as a function of the step.

use toml::{Table, Value as Toml};

use super::grown::{Kind, Value};
use crate::error::{Error, Result};
use crate::param::Param;
use crate::recipe::{
    Curve as Shape, PruneSchedule, Settings, drop_constant, drop_cosine, drop_exponential, unknown,
};
use crate::sparsity::Length;

/// How weights grow, and how many.
pub struct Growth {
    pub by: By,
    /// What new weights start with.
    pub value: Value,
    /// Whether what all layers drop together is grown where the running mean is largest.
    pub redistributes: bool,
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
    /// A draw, a function of seed, step, parameter and index.
    Random,
    /// A draw, too, in which weights that were never kept come before all others.
    RandomUnfired,
    /// The largest running means of the gradient.
    Momentum,
}

impl By {
    pub const ALL: &[By] = &[By::Gradient, By::Random, By::RandomUnfired, By::Momentum];

    /// As recipes write it.
    pub fn name(self) -> &'static str {
        match self {
            By::Gradient => "gradient",
            By::Random => "random",
            By::RandomUnfired => "random-unfired",
            By::Momentum => "momentum",
        }
    }
    /// Whether a draw decides, whatever gradients are.
    pub fn is_random(self) -> bool {
        matches!(self, By::Random | By::RandomUnfired)
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
    /// The setting with its default: `{ by = "gradient", value = "zeros", divisor = 1.0, fraction = { type = "cosine",
    /// start = 0.3, end = 0.0, power = 1.0 } }`.
    pub fn setting(by: By, start: f64, end: f64) -> (&'static str, Toml) {
        let fraction = Table::from_iter([
            ("type".to_string(), Toml::String("cosine".into())),
            ("start".to_string(), Toml::Float(start)),
            ("end".to_string(), Toml::Float(end)),
            ("power".to_string(), Toml::Float(1.0)),
        ]);
        let growth = Table::from_iter([
            ("by".to_string(), Toml::String(by.name().into())),
            ("value".to_string(), Toml::String(Kind::Zeros.name().into())),
            ("divisor".to_string(), Toml::Float(1.0)),
            ("fraction".to_string(), Toml::Table(fraction)),
        ]);
        ("growth", Toml::Table(growth))
    }

    /// Settings of `growth` that others leave without effect.
    pub fn unheeded(settings: &Settings) -> Vec<(&'static str, String)> {
        let Ok(growth) = settings.table("growth") else { return Vec::new() };
        let fraction = growth.table("fraction");
        let curve =
            fraction.as_ref().ok().and_then(|fraction| fraction.text("type").ok()).unwrap_or_default();
        let power = ("growth.fraction.power", "is the exponent of type = \"exponential\"".to_string());
        let mut all = match curve {
            "constant" => {
                let why = "is where a share that falls ends; type = \"constant\" stays at `start`";
                vec![("growth.fraction.end", why.into()), power]
            }
            "cosine" => vec![power],
            _ => Vec::new(),
        };
        if growth.text("value").is_ok_and(|value| value == Kind::Zeros.name()) {
            let why = "divides what new weights start with; value = \"zeros\" leaves nothing to divide";
            all.push(("growth.divisor", why.into()));
        }
        all
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
        Ok(Self { by, value: value(&growth, by)?, redistributes: false, curve, start, span, rounding })
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
    /// As [`Growth::drops`], of a parameter: none where it is frozen.
    pub fn drops_of(&self, param: &Param, kept: usize, step: u64, length: Length) -> usize {
        // What is kept in any case is not dropped.
        let most = kept.saturating_sub(param.protected().len());
        if param.frozen { 0 } else { self.drops(kept, step, length).min(most) }
    }
    /// The most that are ever dropped of `kept` weights.
    pub fn most(&self, kept: usize) -> usize {
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

/// What new weights start with, among the settings of `growth`.
fn value(growth: &Settings, by: By) -> Result<Value> {
    let name = growth.text("value")?;
    let found = Kind::ALL.iter().find(|kind| kind.name() == name);
    let unknown_value = || unknown("value", name, Kind::ALL.iter().map(|kind| kind.name()));
    let kind = *found.ok_or_else(|| growth.locate("value", unknown_value()))?;
    if kind.is_gradient() && by.is_random() {
        let error =
            Error::usage(format!("growth at random computes no gradient where `{name}` would need it"))
                .at(format!("by = \"{}\"", by.name()));
        let advice =
            "value = \"initial\", \"normal\" or \"uniform\"; or growth by gradient, as in method = \"rigl\"";
        return Err(growth.locate("value", error).hint(advice));
    }
    if kind == Kind::Zeros {
        return Ok(Value { kind, divisor: 1.0 });
    }
    let divisor = growth.f32("divisor")?;
    if !(divisor.abs() >= 1e-30 && divisor.abs() <= 1e30) {
        return Err(growth.wrong("divisor", "a number other than 0, of a magnitude from 1e-30 to 1e30"));
    }
    Ok(Value { kind, divisor })
}
