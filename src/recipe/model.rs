//! `[model]`: either a preset or a list of layers, never both.

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
    /// `[[model.layer]]`, from the input to the output; at least one.
    Layers(Vec<Layer>),
}

/// One `[[model.layer]]`; the registry of layers checks `kind` and `settings`.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Written `type = "linear"`.
    pub kind: String,
    /// Absent: the model names the layer by its kind and place.
    pub name: Option<String>,
    /// All other keys.
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
            section.finish()?;
            return Ok(Model::Layers(layers.into_iter().map(Layer::read).collect::<Result<_>>()?));
        }
        if section.choice("preset", "preset", &["mlp"], |name| name)?.is_none() {
            return Err(section.missing("preset").hint(advice));
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
            Model::Layers(layers) => {
                for layer in layers {
                    w.section("[[model.layer]]");
                    w.key("type", layer.kind.as_str());
                    if let Some(name) = &layer.name {
                        w.key("name", name.as_str());
                    }
                    w.keys(layer.settings.values());
                }
            }
        }
    }
}

impl Layer {
    fn read(mut section: Section) -> Result<Layer> {
        let kind = section.text("type")?.ok_or_else(|| {
            section.missing("type").hint("every [[model.layer]] names its type, such as type = \"linear\"")
        })?;
        let name = section.text("name")?;
        Ok(Layer { kind, name, settings: section.rest() })
    }

    /// The error for a `kind` that is not in the registry.
    pub fn unknown_kind<'a>(&self, kinds: impl IntoIterator<Item = &'a str>) -> Error {
        self.settings.locate("type", words::unknown("layer type", &self.kind, kinds))
    }
}
