//! `[optim]`: the optimizer by name, its learning rate, and its own settings.

use super::learning_rate::LrSchedule;
use super::section::Section;
use super::settings::Settings;
use super::writer::Writer;
use crate::error::Result;

/// The optimizer; the registry of optimizers checks `name` and `settings`.
#[derive(Clone, Debug, PartialEq)]
pub struct Optim {
    pub name: String,
    pub lr: LrSchedule,
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
        Ok(Optim { name, lr, settings: section.rest() })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.section("[optim]");
        w.key("name", self.name.as_str());
        w.keys(self.settings.values());
        self.lr.write(w);
    }
}
