//! A convolution over images: `y = weight * x + bias`, zeros around x.

use toml::Value;

use super::super::extent::Extent;
use super::super::init::{Fans, Init};
use super::super::layer::{Built, Context, Entry};
use super::product::Product;
use crate::error::{Error, Result};
use crate::ops::window::Window;

pub const ENTRY: Entry = Entry {
    name: "conv2d",
    about: "a convolution with `out` channels by kernels of `kernel` x `kernel`; zeros of width `padding` around x; as many `groups` as channels make it depthwise",
    required: || vec![("out", Value::Integer(1)), ("kernel", Value::Integer(1))],
    optional: || {
        vec![
            ("stride", Value::Integer(1)),
            ("padding", Value::Integer(0)),
            ("dilation", Value::Integer(1)),
            ("groups", Value::Integer(1)),
            ("bias", Value::Boolean(true)),
            Init::setting("uniform"),
        ]
    },
    build: |context| {
        let (window, output) = slide(context)?;
        let input = context.input()?.clone();
        let channels = input.channels / window.groups;
        let shape = [output.channels, window.kernel[0], window.kernel[1], channels];
        let (init, has_bias) = (Init::read(context.settings)?, context.settings.bool("bias")?);
        let fans = Fans {
            inputs: channels * window.taps(),
            outputs: output.channels / window.groups * window.taps(),
        };
        let mut weight = init.param(context, "weight", &shape, fans);
        (weight.prunable, weight.is_multiplied, weight.window) = (true, true, Some(window));
        let mut params = vec![context.params.declare(weight)];
        if has_bias {
            let bias = init.param(context, "bias", &shape[..1], fans);
            params.push(context.params.declare(bias));
        }
        Ok(Built { layer: Box::new(Product::new(&input, Some(window))), output, params })
    },
};

/// What the layer is slid over, and the extent of its output.
fn slide(context: &Context) -> Result<(Window, Extent)> {
    let (input, settings) = (context.input()?, context.settings);
    let at_least = |key: &str, least: u32| {
        let value = settings.u32(key)?;
        if value < least {
            return Err(settings.wrong(key, &format!("at least {least}")));
        }
        Ok(value as usize)
    };
    let (out, kernel) = (at_least("out", 1)?, at_least("kernel", 1)?);
    let sites = image(context)?;
    let groups = at_least("groups", 1)?;
    if !(input.channels.is_multiple_of(groups) && out.is_multiple_of(groups)) {
        let what = format!("layer `{}` cannot cut its channels into {groups} groups", context.name);
        let error = Error::usage(what).at(format!("{} channels come in, {out} go out", input.channels));
        return Err(settings.locate("groups", error).hint("a number that divides both"));
    }
    let window = Window {
        stride: at_least("stride", 1)?,
        padding: at_least("padding", 0)?,
        dilation: at_least("dilation", 1)?,
        groups,
        ..Window::of(sites, [kernel; 2])
    };
    if window.out().contains(&0) {
        let reach = (kernel - 1) * window.dilation + 1;
        let what = format!("the kernel of layer `{}` does not fit into its input", context.name);
        let error = Error::usage(what).at(format!(
            "it reaches over {reach} sites; the input is {input}, with {} sites of zeros on each side",
            window.padding
        ));
        return Err(settings.locate("kernel", error).hint("a smaller kernel, or more padding"));
    }
    Ok((window, Extent::new(out, window.out().to_vec())))
}

/// Height and width of the only input.
///
/// # Errors
/// `Kind::Usage` where it is no image.
pub fn image(context: &Context) -> Result<[usize; 2]> {
    let input = context.input()?;
    match input.sites[..] {
        [height, width] => Ok([height, width]),
        _ => {
            let (name, what) = (context.name, &context.inputs[0].0);
            let error = Error::usage(format!("layer `{name}` reads images, (channels, height, width)"))
                .at(format!("`{what}` has {input}"));
            Err(context
                .at(error)
                .hint("a data set of images; a linear layer's output has no height and width"))
        }
    }
}
