//! `[loss]`: what training minimises.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::section::{self, Section};
use super::writer::Writer;
use crate::error::Result;

/// The loss of training; evaluations measure the plain one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loss {
    /// The share of a label that is spread evenly over all classes, from 0 up to, not including, 1 (Szegedy et al. 2016,
    /// Section 7).
    pub smoothing: f64,
    /// The outputs that count, by the names of their layers, and the weights of their losses, above 0. `None`: all of the
    /// network's, with the weights that it gives them.
    pub outputs: Option<BTreeMap<String, f64>>,
}

impl Loss {
    pub(super) fn read(mut section: Section) -> Result<Loss> {
        let smoothing = section
            .number("smoothing", "a number from 0 up to, not including, 1", |x| (0.0..1.0).contains(&x))?;
        let expected = "names of outputs, such as [\"head\"], or their weights above 0, such as { head = 1.0, side = 0.5 }";
        let outputs = section.take("outputs", expected, outputs)?;
        section.finish()?;
        Ok(Loss { smoothing: smoothing.unwrap_or(0.0), outputs })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.section("[loss]");
        w.key("smoothing", self.smoothing);
        if let Some(outputs) = &self.outputs {
            let weights = outputs.iter().map(|(name, weight)| (name.clone(), Value::Float(*weight)));
            w.key("outputs", weights.collect::<Table>());
        }
    }
}

/// At least one name, each with its weight.
fn outputs(value: &Value) -> Option<BTreeMap<String, f64>> {
    let weight = |value| section::number(value).filter(|weight| *weight as f32 > 0.0);
    let all: BTreeMap<String, f64> = match value {
        Value::Array(names) => {
            names.iter().map(|name| Some((name.as_str()?.to_string(), 1.0))).collect::<Option<_>>()?
        }
        Value::Table(weights) => {
            weights.iter().map(|(name, value)| Some((name.clone(), weight(value)?))).collect::<Option<_>>()?
        }
        _ => return None,
    };
    (!all.is_empty()).then_some(all)
}
