//! The layers that an answer depends on, with what each reads.

use super::layers;
use crate::error::{Error, Result};
use crate::nn::{DATA, Extent, Model, PLAIN, layer, presets};
use crate::recipe::{self, Recipe, Settings};
use crate::store::Arrays;
use crate::train::layout::torch_shape;

/// Number of a value: 0 is the sample, and each layer has written one more.
pub type ValueId = usize;

pub struct Network {
    /// In the order of computation.
    pub layers: Vec<Layer>,
    /// By value; of those that no layer here writes, too.
    pub extents: Vec<Extent>,
    /// What is computed.
    pub answer: ValueId,
}

pub struct Layer {
    pub name: String,
    pub kind: String,
    /// The layer whose weights it has, if it has any.
    pub owner: String,
    /// With defaults filled in.
    pub settings: Settings,
    pub inputs: Vec<ValueId>,
    pub output: ValueId,
}

impl Network {
    /// What a recipe describes, up to the output that is judged, for samples of this extent.
    ///
    /// # Errors
    /// `Kind::Usage` for a layer without a form in C, `Kind::Checkpoint` where these are no weights of the network.
    pub fn new(recipe: &Recipe, input: &Extent, classes: usize, weights: &Arrays) -> Result<Self> {
        let model = &recipe.model;
        if let recipe::Model::Preset { name, .. } = model
            && presets::ALL.iter().any(|preset| preset.name == name && preset.reads == presets::Reads::Tokens)
        {
            return Err(Error::usage(format!("preset `{name}` has no form in C"))
                .at("it reads tokens")
                .hint(layers::HINT));
        }
        let specs = presets::network(model, input, classes)?.layers;
        let names: Vec<String> = specs.iter().enumerate().map(|(index, spec)| spec.name_at(index)).collect();
        let mut built = Model::new(model, input.clone(), classes, 0)?;
        recipe.loss.outputs.as_ref().map_or(Ok(()), |outputs| built.weigh(outputs))?;
        check_weights(&built, weights)?;

        let value = |name: &String| match names.iter().position(|known| known == name) {
            Some(index) => index + 1,
            // Both views of a batch are the same where nothing is varied.
            None => {
                debug_assert!([DATA, PLAIN].contains(&name.as_str()));
                0
            }
        };
        let mut all = Vec::new();
        for (index, spec) in specs.iter().enumerate() {
            let inputs =
                if spec.from.is_empty() { vec![index] } else { spec.from.iter().map(value).collect() };
            let (name, kind, settings) = (names[index].clone(), spec.kind.clone(), layer::settings(spec)?);
            // A layer that shares weights may share those of one that shares them itself.
            let first = built.params_of(&name).first().map(|&id| built.params[id].name.as_str());
            let owner = first.and_then(|param| param.rsplit_once('.')).map_or(&*name, |(layer, _)| layer);
            let owner = owner.to_string();
            all.push(Layer { name, kind, owner, settings, inputs, output: index + 1 });
        }
        let outputs = (0..specs.len()).map(|index| built.output_of(index).clone());
        let extents: Vec<Extent> = std::iter::once(input.clone()).chain(outputs).collect();
        let answer = built.heads()[built.judged()].value;
        let layers = before(all, answer);
        for layer in &layers {
            layers::check_kind(&layer.kind, &layer.name)?;
            let is_known =
                |value: &ValueId| extents[*value].vocabulary.is_none() && !extents[*value].is_sequence();
            if !layer.inputs.iter().chain([&layer.output]).all(is_known) {
                return Err(layers::refused(&layer.kind, &layer.name, "it reads or writes a sequence"));
            }
        }
        Ok(Self { layers, extents, answer })
    }
}

/// The layers that a value depends on.
fn before(layers: Vec<Layer>, answer: ValueId) -> Vec<Layer> {
    let mut needed = vec![false; layers.len() + 1];
    needed[answer] = true;
    for layer in layers.iter().rev().filter(|layer| layer.output <= answer) {
        if needed[layer.output] {
            layer.inputs.iter().for_each(|&input| needed[input] = true);
        }
    }
    layers.into_iter().filter(|layer| needed[layer.output]).collect()
}

fn check_weights(model: &Model, weights: &Arrays) -> Result<()> {
    for param in model.params.iter() {
        let shape = torch_shape(&param.shape);
        let found = weights.get(&param.name).map(|own| &own.shape);
        if found != Some(&shape) {
            let found = found.map_or("none".into(), |shape| format!("{shape:?}"));
            return Err(Error::checkpoint("the weights are not those of the network")
                .at(format!("{}: expected {shape:?}, found {found}", param.name)));
        }
    }
    Ok(())
}

impl Layer {
    /// A setting that is a whole number.
    pub fn number(&self, key: &str) -> Result<usize> {
        self.settings.u32(key).map(|number| number as usize)
    }
}
