//! A linear layer: `y = weight x + bias`.

use toml::Value;

use super::super::extent::Extent;
use super::super::layer::{Built, Context, Entry};
use super::product::Product;
use crate::error::{Error, Result};
use crate::param::{Param, ParamId};
use crate::random::{self, Stream};

pub const ENTRY: Entry = Entry {
    name: "linear",
    about: "y = weight x + bias; `out` outputs; all numbers of an image are inputs; with `share`, the weight and bias of that layer",
    required: || vec![("out", Value::Integer(1))],
    optional: || vec![("share", Value::String(String::new()))],
    build: |context| {
        let settings = context.settings;
        let out = settings.u32("out")? as usize;
        if out == 0 {
            return Err(settings.wrong("out", "at least 1"));
        }
        let input = context.input()?.clone();
        let params = match settings.text("share")? {
            "" => declare(context, out)?,
            other => shared(context, other, out)?,
        };
        Ok(Built { layer: Box::new(Product::new(&input, None)), output: Extent::features(out), params })
    },
};

/// Weights and biases are uniform in ±1/sqrt(inputs): PyTorch's default for linear layers.
fn declare(context: &mut Context, out: usize) -> Result<Vec<ParamId>> {
    let inputs = context.input()?.numbers();
    let (seed, bound) = (context.seed, 1.0 / (inputs as f32).sqrt());
    let mut param = |what: &str, shape: &[usize]| {
        let number = context.params.len() as u32;
        let value = move |i: u32| (random::uniform(seed, Stream::Init, 0, number, i) * 2.0 - 1.0) * bound;
        let mut param = Param::new(&format!("{}.{what}", context.name), shape, Box::new(value));
        (param.prunable, param.bound) = (shape.len() > 1, Some(bound));
        context.params.declare(param)
    };
    Ok(vec![param("weight", &[out, inputs]), param("bias", &[out])])
}

/// The parameters of a layer before this one.
fn shared(context: &Context, other: &str, out: usize) -> Result<Vec<ParamId>> {
    let at = |error| context.settings.locate("share", error);
    let params = (context.params_of)(other).map_err(at)?;
    let wanted = [out, context.input()?.numbers()];
    match params[..] {
        [weight, _] if context.params[weight].shape == wanted => Ok(params),
        _ => {
            let has =
                params.first().map_or("none".into(), |&weight| format!("{:?}", context.params[weight].shape));
            let what = format!("layer `{}` cannot share the weight of `{other}`", context.name);
            Err(at(Error::usage(what).at(format!("it needs {wanted:?} (outputs, inputs); that is {has}"))))
        }
    }
}
