//! `[finish]`: what is done once the last step is.

use super::section::Section;
use super::writer::Writer;
use crate::error::Result;

/// What is done between the last step and the last evaluation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Finish {
    /// Training batches that running statistics are computed anew over; 0 leaves them as the steps left them.
    pub recalibrate: u32,
}

impl Finish {
    pub(super) fn read(mut section: Section) -> Result<Finish> {
        let recalibrate = section.take("recalibrate", "a whole number of batches, from 0", |value| {
            value.as_integer().and_then(|batches| u32::try_from(batches).ok())
        })?;
        section.finish()?;
        Ok(Finish { recalibrate: recalibrate.unwrap_or(0) })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.section("[finish]");
        w.key("recalibrate", self.recalibrate);
    }
}
