//! `[optim]`: the optimizer by name, its learning rate, and its own settings.

use super::learning_rate::LrSchedule;
use super::section::{self, Section};
use super::settings::Settings;
use super::writer::Writer;
use crate::error::Result;

/// The optimizer; the registry of optimizers checks `name` and `settings`.
#[derive(Clone, Debug, PartialEq)]
pub struct Optim {
    pub name: String,
    pub lr: LrSchedule,
    /// The most that the norm of all gradients together may be, above 0; `None` is any, written `"off"`.
    pub clip: Option<f64>,
    /// Decay of the weights' averages, above 0 and below 1; `None` keeps none, written `"off"`.
    pub ema: Option<f64>,
    /// All other keys.
    pub settings: Settings,
}

impl Optim {
    pub(super) fn read(mut section: Section) -> Result<Optim> {
        let name = section.text("name")?.ok_or_else(|| {
            section
                .missing("name")
                .hint("name an optimizer under [optim]; `coppice ls optimizers` lists them")
        })?;
        let lr = LrSchedule::read(&mut section)?;
        let clip = section.take("clip", "\"off\", or a number above 0", |value| match value.as_str() {
            Some("off") => Some(None),
            _ => section::number(value).filter(|clip| *clip as f32 > 0.0).map(Some),
        })?;
        let ema =
            section.take(
                "ema",
                "\"off\", or a decay above 0 and below 1, such as 0.999",
                |value| match value.as_str() {
                    Some("off") => Some(None),
                    _ => section::number(value).filter(|ema| *ema > 0.0 && *ema < 1.0).map(Some),
                },
            )?;
        Ok(Optim { name, lr, clip: clip.flatten(), ema: ema.flatten(), settings: section.rest() })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.section("[optim]");
        w.key("name", self.name.as_str());
        match self.clip {
            Some(clip) => w.key("clip", clip),
            None => w.key("clip", "off"),
        }
        match self.ema {
            Some(ema) => w.key("ema", ema),
            None => w.key("ema", "off"),
        }
        w.keys(self.settings.values());
        self.lr.write(w);
    }
}
