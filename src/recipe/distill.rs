//! `[distill]`: whether targets are softened, by the name of a method, and the method's own settings.

use super::section::Section;
use super::settings::Settings;
use super::writer::Writer;
use crate::error::Result;

/// Where soft targets come from; the registry of distillation checks `method` and `settings`.
#[derive(Clone, Debug, PartialEq)]
pub struct Distill {
    /// `"none"` leaves targets hard.
    pub method: String,
    /// All other keys.
    pub settings: Settings,
}

impl Distill {
    /// Hard targets.
    pub fn none() -> Distill {
        Distill { method: "none".into(), settings: Settings::default() }
    }

    pub(super) fn read(mut section: Section) -> Result<Distill> {
        let method = section.text("method")?.unwrap_or_else(|| "none".to_string());
        Ok(Distill { method, settings: section.rest() })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.section("[distill]");
        w.key("method", self.method.as_str());
        w.keys(self.settings.values());
    }
}
