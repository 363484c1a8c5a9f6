//! A linear layer: `y = weight x + bias`.

use toml::Value;

use super::super::extent::Extent;
use super::super::init::{Fans, Init};
use super::super::layer::{Built, Context, Entry};
use super::product::Product;
use crate::error::{Error, Result};
use crate::param::ParamId;

pub const ENTRY: Entry = Entry {
    name: "linear",
    about: "y = weight x + bias; `out` outputs; of a sequence each step by itself, of an image all numbers; with `share`, the weight and bias of that layer",
    required: || vec![("out", Value::Integer(1))],
    optional: || {
        vec![
            ("bias", Value::Boolean(true)),
            Init::setting("uniform"),
            ("share", Value::String(String::new())),
        ]
    },
    build: |context| {
        let settings = context.settings;
        let out = settings.u32("out")? as usize;
        if out == 0 {
            return Err(settings.wrong("out", "at least 1"));
        }
        let input = context.input()?.clone();
        let by_step = input.is_sequence();
        let (inputs, output) = if by_step {
            (input.channels, input.with(out))
        } else {
            (input.numbers(), Extent::features(out))
        };
        let params = match settings.text("share")? {
            "" => declare(context, out, inputs, if by_step { input.cols(1) } else { 1 })?,
            other => shared(context, other, &[out, inputs])?,
        };
        let layer = if by_step { Product::by_step(&input) } else { Product::new(&input, None) };
        Ok(Built { layer: Box::new(layer), output, params })
    },
};

fn declare(context: &mut Context, out: usize, inputs: usize, sites: usize) -> Result<Vec<ParamId>> {
    let (init, has_bias) = (Init::read(context.settings)?, context.settings.bool("bias")?);
    let fans = Fans { inputs, outputs: out };
    let mut weight = init.param(context, "weight", &[out, inputs], fans);
    (weight.prunable, weight.is_multiplied, weight.sites) = (true, true, sites);
    let mut params = vec![context.params.declare(weight)];
    if has_bias {
        let bias = init.param(context, "bias", &[out], fans);
        params.push(context.params.declare(bias));
    }
    Ok(params)
}

/// The parameters of a layer before this one: its weight, and its bias if it has one.
fn shared(context: &Context, other: &str, wanted: &[usize]) -> Result<Vec<ParamId>> {
    let at = |error| context.settings.locate("share", error);
    let params = (context.params_of)(other).map_err(at)?;
    let of = |id: &ParamId| &context.params[*id].shape[..];
    let has_bias = params.len() == 1 || params.len() == 2 && of(&params[1]) == &wanted[..1];
    if params.first().is_some_and(|weight| of(weight) == wanted) && has_bias {
        return Ok(params);
    }
    let has = params.first().map_or("none".into(), |weight| format!("{:?}", of(weight)));
    let what = format!("layer `{}` cannot share the weight of `{other}`", context.name);
    Err(at(Error::usage(what).at(format!("it needs {wanted:?} (outputs, inputs); that is {has}"))))
}
