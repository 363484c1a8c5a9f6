//! The recurrent core of an LSTM or a GRU: what goes on from step to step. What each step's input adds, a `linear` layer before
//! it has computed for all steps at once.
//!
//! The weight (gates units, units) is PyTorch's `weight_hh`, gates in its order: i, f, g, o and r, z, n. An LSTM has its bias
//! in the linear layer: PyTorch's two are added up. A GRU has `bias_hh` itself, since its reset gate scales that.
//!
//! With `gates = "apart"` each gate has a weight of its own, and so a density of its own, at the price of more dispatches.
//!
//! A step is a product of the weight and h (units, batch), and a kernel for all that is between products; backward likewise.
//! The weight's gradient is one product over the columns of all steps.

use toml::Value;

use super::super::extent::Extent;
use super::super::init::{Fans, Init};
use super::super::layer::{Built, Context, Entry};
use crate::error::{Error, Result};
use crate::ops::cell::Kind;
use crate::ops::gru::GRU as GRU_CELL;
use crate::ops::lstm::LSTM as LSTM_CELL;

mod layer;

use layer::Recurrent;

pub const LSTM: Entry = Entry {
    name: "lstm",
    about: "the recurrent core of an LSTM: reads what a `linear` layer made of each step, channels i, f, g, o; `reverse` runs from the last step to the first, `carry` goes on where the batch before ended, `gates = \"apart\"` has a weight for each gate; `cells`: the output has c below h; further inputs: what it begins with, h and below it c, of one value or units side by side of several; then `lengths`, and a sample keeps its state in steps that it does not have (Hochreiter & Schmidhuber 1997)",
    required: Vec::new,
    optional: || [settings(), vec![("cells", Value::Boolean(false))]].concat(),
    build: |context| build(context, &LSTM_CELL),
};
pub const GRU: Entry = Entry {
    name: "gru",
    about: "the recurrent core of a GRU: reads what a `linear` layer made of each step, channels r, z, n; `reverse`, `carry`, `gates` and further inputs as for `lstm`, without c (Cho et al. 2014)",
    required: Vec::new,
    optional: settings,
    build: |context| build(context, &GRU_CELL),
};

fn settings() -> Vec<(&'static str, Value)> {
    vec![
        Init::setting("uniform"),
        ("gates", Value::String("together".into())),
        ("reverse", Value::Boolean(false)),
        ("carry", Value::Boolean(false)),
    ]
}

fn build(context: &mut Context, kind: &'static Kind) -> Result<Built> {
    let longest = context.take_lengths();
    let (input, gates) = (context.inputs[0].1.clone(), kind.gates());
    let &[steps] = &input.sites[..] else {
        let error = Error::usage(format!("layer `{}` reads a sequence, and was given {input}", context.name));
        return Err(context.at(error).hint("values of channels and time"));
    };
    if !input.channels.is_multiple_of(gates) {
        let what = format!("layer `{}` has {gates} gates, and was given {input}", context.name);
        let advice = format!("a `linear` layer before it with {gates} outputs for each unit");
        return Err(context.at(Error::usage(what)).hint(advice));
    }
    if let Some(most) = longest.filter(|&most| most != steps) {
        let what = format!("layer `{}` reads {steps} steps", context.name);
        let error = Error::usage(what).at(format!("it was given lengths up to {most}"));
        return Err(context.at(error).hint("a `lengths` layer over the steps that it reads"));
    }
    let (reverse, carry) = (context.settings.bool("reverse")?, context.settings.bool("carry")?);
    if reverse && carry {
        return Err(context
            .settings
            .wrong("carry", "false where `reverse` is true: what comes later is not known"));
    }
    let units = input.channels / gates;
    let begins = begins(context, kind, units)?;
    if carry && !begins.is_empty() {
        return Err(context
            .settings
            .wrong("carry", "false where the layer is given what it begins with: it cannot go on besides"));
    }
    let carry = carry || context.stepwise.is_some();
    let cells = kind.states == 2 && context.settings.bool("cells")?;
    let apart = match context.settings.text("gates")? {
        "together" => false,
        "apart" => true,
        _ => return Err(context.settings.wrong("gates", "\"together\" or \"apart\"")),
    };
    if apart && !units.is_multiple_of(APART) {
        let what = format!("layer `{}` has {units} units: too few to keep gates apart", context.name);
        return Err(context.at(Error::usage(what)).hint(format!("a multiple of {APART} units")));
    }
    let parts = if apart { gates } else { 1 };
    // Of a gate.
    let (init, fans) = (Init::read(context.settings)?, Fans { inputs: units, outputs: units });
    let mut params = Vec::new();
    for what in ["weight", "bias"].into_iter().take(if kind.states == 1 { 2 } else { 1 }) {
        for part in 0..parts {
            let name = if apart { format!("{what}_{}", kind.letters[part]) } else { what.to_string() };
            let shape = [gates / parts * units, units];
            let is_weight = what == "weight";
            let mut param = init.param(context, &name, &shape[..if is_weight { 2 } else { 1 }], fans);
            (param.prunable, param.is_multiplied, param.recurrent) = (is_weight, is_weight, is_weight);
            param.sites = if is_weight { steps } else { 1 };
            params.push(context.params.declare(param));
        }
    }
    let output = input.with(if cells { 2 * units } else { units });
    let is_ragged = longest.is_some();
    let layer = Recurrent { kind, units, steps, parts, reverse, carry, cells, is_ragged, begins };
    Ok(Built { layer: Box::new(layer), output, params })
}

/// The units of each input that says what the layer begins with; they lie side by side.
fn begins(context: &Context, kind: &Kind, units: usize) -> Result<Vec<usize>> {
    let given = &context.inputs[1..];
    let fits = |extent: &Extent| extent.sites.is_empty() && extent.channels.is_multiple_of(kind.states);
    let all: Vec<usize> = given.iter().map(|(_, extent)| extent.channels / kind.states).collect();
    if given.is_empty() || given.iter().all(|(_, extent)| fits(extent)) && all.iter().sum::<usize>() == units
    {
        return Ok(all);
    }
    let has: Vec<String> = given.iter().map(|(name, extent)| format!("`{name}` has {extent}")).collect();
    let what = format!("layer `{}` begins with {} numbers a sample", context.name, kind.states * units);
    let advice = match kind.states {
        2 => {
            "the `last` step of an `lstm` with `cells` (of one with `reverse` the `first`), which is h and below it c"
        }
        _ => "the `last` step of a `gru` (of one with `reverse` the `first`)",
    };
    Err(context.at(Error::usage(what).at(has.join(", "))).hint(advice))
}

/// With a multiple of so many units, and of four samples, each gate's rows begin on 256 bytes.
const APART: usize = 16;
