//! `[model]`: either a preset or a network of layers, never both.

use toml::Value;

use super::section::{Section, count};
use super::settings::Settings;
use super::words;
use super::writer::Writer;
use crate::error::{Error, Result};

/// The network between the data's features and its classes.
#[derive(Clone, Debug, PartialEq)]
pub enum Model {
    /// `preset = "mlp"`: linear layers of the hidden widths, an activation after each, and a linear head that
    /// is as wide as there are classes. No hidden layer at all makes a linear classifier.
    Mlp {
        hidden: Vec<u32>,
        /// The name of a layer without settings, checked by the registry of layers.
        activation: String,
    },
    /// Any other preset; the registry of presets checks both.
    Preset {
        name: String,
        settings: Settings,
    },
    Network(Network),
}

/// Layers with what they read, as `[[model.layer]]` and `[[model.output]]` list them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Network {
    /// At least one.
    pub layers: Vec<Layer>,
    /// None: the last layer is the output.
    pub outputs: Vec<Output>,
}

/// One `[[model.layer]]`; the registry of layers checks `kind` and `settings`.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Written `type = "linear"`.
    pub kind: String,
    /// Absent: the model names the layer by its kind and place.
    pub name: Option<String>,
    /// The names of the layers that it reads, or `data`, a sample's features; none: the layer before it.
    pub from: Vec<String>,
    /// All other keys.
    pub settings: Settings,
}

/// One `[[model.output]]`: a layer that is trained to answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    pub from: String,
    /// `loss` and `weight`, checked by the model.
    pub settings: Settings,
}

impl Model {
    pub(super) fn read(mut section: Section) -> Result<Model> {
        let advice = "write preset = \"mlp\" and hidden = [128], or a list of [[model.layer]]";
        if section.has("preset") && section.has("layer") {
            let error = Error::usage("a model has a preset or a list of layers, not both");
            return Err(section.locate("preset", error).hint(advice));
        }
        let layers = section.sections("layer")?;
        if !layers.is_empty() {
            let outputs = section.sections("output")?;
            section.finish()?;
            return Ok(Model::Network(Network {
                layers: layers.into_iter().map(Layer::read).collect::<Result<_>>()?,
                outputs: outputs.into_iter().map(Output::read).collect::<Result<_>>()?,
            }));
        }
        let name = section.text("preset")?.ok_or_else(|| section.missing("preset").hint(advice))?;
        if name != "mlp" {
            return Ok(Model::Preset { name, settings: section.rest() });
        }
        let widths = "a list of whole numbers of at least 1, such as [512, 512]";
        let hidden = section
            .take("hidden", widths, |v| v.as_array()?.iter().map(count).collect::<Option<Vec<u32>>>())?
            .ok_or_else(|| section.missing("hidden").at(format!("expected: {widths}")))?;
        let activation = section.text("activation")?.unwrap_or_else(|| "relu".to_string());
        section.finish()?;
        Ok(Model::Mlp { hidden, activation })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        match self {
            Model::Mlp { hidden, activation } => {
                w.section("[model]");
                w.key("preset", "mlp");
                w.key("hidden", hidden.clone());
                w.key("activation", activation.as_str());
            }
            Model::Preset { name, settings } => {
                w.section("[model]");
                w.key("preset", name.as_str());
                w.keys(settings.values());
            }
            Model::Network(network) => network.write(w),
        }
    }
}

impl Network {
    fn write(&self, w: &mut Writer) {
        for layer in &self.layers {
            w.section("[[model.layer]]");
            w.key("type", layer.kind.as_str());
            layer.name.iter().for_each(|name| w.key("name", name.as_str()));
            match &layer.from[..] {
                [] => {}
                [one] => w.key("from", one.as_str()),
                several => w.key("from", several.to_vec()),
            }
            w.keys(layer.settings.values());
        }
        for output in &self.outputs {
            w.section("[[model.output]]");
            w.key("from", output.from.as_str());
            w.keys(output.settings.values());
        }
    }
}

impl Layer {
    fn read(mut section: Section) -> Result<Layer> {
        let kind = section.text("type")?.ok_or_else(|| {
            section.missing("type").hint("every [[model.layer]] names its type, such as type = \"linear\"")
        })?;
        let name = section.text("name")?;
        let from = section.take("from", "the name of a layer, or a list of names", names)?;
        Ok(Layer { kind, name, from: from.unwrap_or_default(), settings: section.rest() })
    }

    /// Its name in a network where it is the layer of this number.
    pub fn name_at(&self, index: usize) -> String {
        self.name.clone().unwrap_or_else(|| format!("{}{index}", self.kind))
    }

    /// The error for a `kind` that is not in the registry.
    pub fn unknown_kind<'a>(&self, kinds: impl IntoIterator<Item = &'a str>) -> Error {
        self.settings.locate("type", words::unknown("layer type", &self.kind, kinds))
    }
}

impl Output {
    fn read(mut section: Section) -> Result<Output> {
        let from = section.text("from")?.ok_or_else(|| {
            section.missing("from").hint("every [[model.output]] names a layer, such as from = \"head\"")
        })?;
        Ok(Output { from, settings: section.rest() })
    }
}

/// A name, or at least one in a list.
fn names(value: &Value) -> Option<Vec<String>> {
    let name = |value: &Value| value.as_str().filter(|name| !name.is_empty()).map(String::from);
    match value {
        Value::Array(items) if items.is_empty() => None,
        Value::Array(items) => items.iter().map(name).collect(),
        value => name(value).map(|name| vec![name]),
    }
}
