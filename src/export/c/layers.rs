//! What each kind of layer is in C.

use super::network::{Layer, ValueId};
use super::writer::Writer;
use crate::error::{Error, Result};

/// A kind of layer that has a form in C.
struct Kind {
    name: &'static str,
    place: Place,
    write: fn(&mut Writer, &Layer) -> Result<()>,
}

/// Where a layer's output lies.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// Apart from its inputs.
    Apart,
    /// Over its first input, where nothing reads that later.
    Over,
    /// It is its input.
    Same,
}

use Place::{Apart, Over, Same};

const KINDS: &[Kind] = &[
    Kind { name: "linear", place: Apart, write: linear },
    Kind { name: "conv2d", place: Apart, write: conv2d },
    Kind { name: "batch_norm", place: Over, write: batch_norm },
    Kind { name: "max_pool", place: Apart, write: pool },
    Kind { name: "average_pool", place: Apart, write: pool },
    Kind { name: "global_average_pool", place: Apart, write: global_mean },
    Kind { name: "flatten", place: Same, write: |_, _| Ok(()) },
    Kind { name: "dropout", place: Same, write: |_, _| Ok(()) },
    Kind { name: "add", place: Over, write: sum },
    Kind { name: "multiply", place: Over, write: product },
    Kind { name: "scale", place: Over, write: gates },
    Kind { name: "concat", place: Apart, write: concat },
    Kind { name: "slice", place: Apart, write: slice },
    Kind { name: "pad_channels", place: Apart, write: pad_channels },
];

/// Functions of one number, x[i].
pub const ACTIVATIONS: &[(&str, &str)] = &[
    ("relu", "x[i] > 0.0f ? x[i] : 0.0f"),
    ("relu6", "fminf(fmaxf(x[i], 0.0f), 6.0f)"),
    ("hard_swish", "x[i] * fminf(fmaxf(x[i] + 3.0f, 0.0f), 6.0f) / 6.0f"),
    ("silu", "x[i] / (1.0f + expf(-x[i]))"),
    ("gelu", "0.5f * x[i] * erfcf(-0.707106781f * x[i])"),
    ("gelu_tanh", "x[i] / (1.0f + expf(-1.595769122f * x[i] * (1.0f + 0.044715f * x[i] * x[i])))"),
    ("sigmoid", "1.0f / (1.0f + expf(-x[i]))"),
    ("hard_sigmoid", "fminf(fmaxf(x[i] + 3.0f, 0.0f), 6.0f) / 6.0f"),
    ("tanh", "tanhf(x[i])"),
    ("leaky_relu", "x[i] > 0.0f ? x[i] : 0.01f * x[i]"),
    ("elu", "x[i] > 0.0f ? x[i] : expm1f(x[i])"),
    ("selu", "1.050700987f * (x[i] > 0.0f ? x[i] : 1.673263242f * expm1f(x[i]))"),
];

/// What to try where there is no such form.
pub const HINT: &str = "another format: coppice ls formats";

fn find(kind: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|known| known.name == kind)
}

fn is_activation(kind: &str) -> bool {
    ACTIVATIONS.iter().any(|(name, _)| *name == kind)
}

/// # Errors
/// `Kind::Usage` where this layer has no form in C.
pub fn check_kind(kind: &str, name: &str) -> Result<()> {
    if find(kind).is_some() || is_activation(kind) {
        return Ok(());
    }
    let known: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    Err(refused(kind, name, &format!("those that have one are {}, and activations", known.join(", "))))
}

pub fn refused(kind: &str, name: &str, why: &str) -> Error {
    Error::usage(format!("layer `{name}` ({kind}) has no form in C")).at(why).hint(HINT)
}

/// Whether a layer's output is its input, in the same order.
pub fn is_view(kind: &str) -> bool {
    find(kind).is_some_and(|known| known.place == Same)
}

/// Whether a layer may write over its first input.
pub fn writes_over(kind: &str) -> bool {
    is_activation(kind) || find(kind).is_some_and(|known| known.place == Over)
}

/// Writes the call of a layer, and the data that it takes.
pub fn write(w: &mut Writer, layer: &Layer) -> Result<()> {
    match find(&layer.kind) {
        Some(kind) => (kind.write)(w, layer),
        None => {
            let len = w.numbers(layer.output);
            w.activate(&layer.kind);
            w.call(format!("apply_{}({}, {len})", layer.kind, w.ends(layer)));
            Ok(())
        }
    }
}

fn linear(w: &mut Writer, layer: &Layer) -> Result<()> {
    let (out, inputs) = (w.numbers(layer.output), w.numbers(layer.inputs[0]));
    let own = w.weight(&layer.owner, inputs)?;
    w.part(match own.form {
        "dense" => "linear_dense",
        "gaps4" => "linear_gaps4",
        _ => "linear_gaps8",
    });
    let sizes = if own.form == "dense" { format!("{out}, {inputs}") } else { format!("{out}") };
    w.call(format!("apply_linear_{}({}, {sizes}, {})", own.form, w.ends(layer), own.arguments));
    Ok(())
}

fn conv2d(w: &mut Writer, layer: &Layer) -> Result<()> {
    let kernel = layer.number("kernel")?;
    let inputs = w.channels(layer.inputs[0]) / layer.number("groups")? * kernel * kernel;
    let own = w.weight(&layer.owner, inputs)?;
    w.part(match own.form {
        "dense" => "conv2d_dense",
        "gaps4" => "conv2d_gaps4",
        _ => "conv2d_gaps8",
    });
    let window = w.window(layer, kernel, layer.number("stride")?, ["padding", "dilation", "groups"])?;
    w.call(format!("apply_conv2d_{}(&{window}, {}, {})", own.form, w.ends(layer), own.arguments));
    Ok(())
}

fn pool(w: &mut Writer, layer: &Layer) -> Result<()> {
    w.part(if layer.kind == "max_pool" { "max_pool" } else { "average_pool" });
    let (kernel, stride) = (layer.number("kernel")?, layer.number("stride")?);
    let window = w.window(layer, kernel, if stride == 0 { kernel } else { stride }, ["padding", "", ""])?;
    w.call(format!("apply_{}(&{window}, {})", layer.kind, w.ends(layer)));
    Ok(())
}

fn global_mean(w: &mut Writer, layer: &Layer) -> Result<()> {
    let [channels, sites] = w.sides(layer.inputs[0]);
    w.part("global_average_pool");
    w.call(format!("apply_global_average_pool({}, {channels}, {sites})", w.ends(layer)));
    Ok(())
}

/// By running statistics: (x - mean) / sqrt(variance + epsilon) weight + bias as one scale and one shift.
fn batch_norm(w: &mut Writer, layer: &Layer) -> Result<()> {
    let epsilon = f64::from(layer.settings.f32("epsilon")?);
    let channels = w.channels(layer.output);
    let of = |what: &str, default: f64| match w.tensor(&layer.name, what) {
        Some(array) => array.to_f32().into_iter().map(f64::from).collect(),
        None => vec![default; channels],
    };
    let [weight, bias, mean, variance] =
        [("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)]
            .map(|(what, none)| of(what, none));
    let scale: Vec<f64> =
        weight.iter().zip(&variance).map(|(weight, variance)| weight / (variance + epsilon).sqrt()).collect();
    let shift = bias
        .iter()
        .zip(&mean)
        .zip(&scale)
        .map(|((bias, mean), scale)| (bias - mean * scale) as f32)
        .collect();
    let scale = scale.into_iter().map(|scale| scale as f32).collect();
    w.scale_shift(&layer.name, [scale, shift], layer.inputs[0], layer.output);
    Ok(())
}

fn sum(w: &mut Writer, layer: &Layer) -> Result<()> {
    pairwise(w, layer, "add")
}

fn product(w: &mut Writer, layer: &Layer) -> Result<()> {
    pairwise(w, layer, "multiply")
}

fn pairwise(w: &mut Writer, layer: &Layer, part: &'static str) -> Result<()> {
    w.part(part);
    let (len, y) = (w.numbers(layer.output), w.place(layer.output));
    let mut so_far = w.place(layer.inputs[0]);
    for &more in &layer.inputs[1..] {
        w.call(format!("apply_{part}({so_far}, {}, {y}, {len})", w.place(more)));
        so_far = y.clone();
    }
    Ok(())
}

fn gates(w: &mut Writer, layer: &Layer) -> Result<()> {
    w.part("gates");
    let [channels, sites] = w.sides(layer.output);
    let [x, gates] = [0, 1].map(|input| w.place(layer.inputs[input]));
    w.call(format!("apply_gates({x}, {gates}, {}, {channels}, {sites})", w.place(layer.output)));
    Ok(())
}

fn concat(w: &mut Writer, layer: &Layer) -> Result<()> {
    let mut at = 0;
    for &input in &layer.inputs {
        let (x, len) = (w.place(input), w.numbers(input));
        w.copy(layer.output, at, &x, len);
        at += len;
    }
    Ok(())
}

fn slice(w: &mut Writer, layer: &Layer) -> Result<()> {
    let [_, sites] = w.sides(layer.output);
    let x = behind(&w.place(layer.inputs[0]), layer.number("first")? * sites);
    w.copy(layer.output, 0, &x, w.numbers(layer.output));
    Ok(())
}

fn pad_channels(w: &mut Writer, layer: &Layer) -> Result<()> {
    let [_, sites] = w.sides(layer.output);
    let (x, len) = (w.place(layer.inputs[0]), w.numbers(layer.inputs[0]));
    w.clear(layer.output);
    w.copy(layer.output, layer.number("before")? * sites, &x, len);
    Ok(())
}

/// A place so many numbers behind another.
pub fn behind(place: &str, numbers: usize) -> String {
    if numbers == 0 { place.to_string() } else { format!("{place} + {numbers}") }
}

/// For readers of the file: `conv2d of 1x8x8 to 10x8x8`.
pub fn described(layer: &Layer, extent: impl Fn(ValueId) -> String) -> String {
    let inputs: Vec<String> = layer.inputs.iter().map(|&input| extent(input)).collect();
    format!("{}: {} of {} to {}", layer.name, layer.kind, inputs.join(" and "), extent(layer.output))
}
