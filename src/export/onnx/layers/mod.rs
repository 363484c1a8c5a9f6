//! What each layer becomes in ONNX: a file for each family, and one list.
//!
//! Images are (batch, channels, height, width) and sequences (batch, steps, channels), as PyTorch has them.

mod attention;
mod channels;
mod pointwise;
mod products;
mod recurrent;
mod scan;
mod sequences;

use super::builder::Builder;
use super::network::{Layer, Network};
use crate::error::{Error, Result};

/// Adds the nodes of a layer, and returns the name of the value that the last of them writes.
type Translate = fn(&mut Builder, &Layer) -> Result<String>;

/// By the name of a layer in the list of all kinds.
const ALL: &[(&str, Translate)] = &[
    ("linear", products::linear),
    ("conv2d", products::conv2d),
    ("batch_norm", products::batch_norm),
    ("layer_norm", products::layer_norm),
    ("rms_norm", products::rms_norm),
    ("relu", pointwise::relu),
    ("relu6", pointwise::relu6),
    ("hard_swish", pointwise::hard_swish),
    ("silu", pointwise::silu),
    ("gelu", pointwise::gelu),
    ("gelu_tanh", pointwise::gelu_tanh),
    ("sigmoid", pointwise::sigmoid),
    ("hard_sigmoid", pointwise::hard_sigmoid),
    ("tanh", pointwise::tanh),
    ("leaky_relu", pointwise::leaky_relu),
    ("elu", pointwise::elu),
    ("selu", pointwise::selu),
    ("add", channels::add),
    ("concat", channels::concat),
    ("slice", channels::slice),
    ("pad_channels", channels::pad_channels),
    ("scale", channels::scale),
    ("multiply", channels::multiply),
    ("flatten", channels::flatten),
    ("dropout", channels::dropout),
    ("max_pool", channels::max_pool),
    ("average_pool", channels::average_pool),
    ("global_average_pool", channels::global_average_pool),
    ("resize", channels::resize),
    ("embedding", sequences::embedding),
    ("patches", sequences::patches),
    ("positions", sequences::positions),
    ("rotary", sequences::rotary),
    ("class_token", sequences::class_token),
    ("step", sequences::step),
    ("steps", sequences::steps),
    ("lengths", sequences::lengths),
    ("attention", attention::attention),
    ("lstm", recurrent::lstm),
    ("gru", recurrent::gru),
];

/// Adds all layers of a network, in their order.
///
/// # Errors
/// Those of [`Builder::weight`] and [`Builder::leave`].
pub fn translate(network: &Network, to: &mut Builder) -> Result<()> {
    for layer in &network.layers {
        let found = ALL.iter().find(|(kind, _)| *kind == layer.kind);
        let (_, translate) =
            found.ok_or_else(|| Error::internal(format!("ONNX has no `{}` layer yet", layer.kind)))?;
        to.enter(&layer.name);
        let result = translate(to, layer)?;
        to.leave(&result)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::layer;

    #[test]
    fn every_kind_of_layer_has_a_translation() {
        let mut missing = layer::ALL.iter().filter(|entry| ALL.iter().all(|(kind, _)| *kind != entry.name));
        assert!(missing.next().is_none(), "`{}` is missing", missing.next().unwrap().name);
        assert_eq!(ALL.len(), layer::ALL.len());
    }
}
