//! `[log]`: files that a run writes, beside its own, for other programs to show.

use super::section::Section;
use super::writer::Writer;
use crate::error::Result;

/// Which of them are written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Logging {
    /// Event files for TensorBoard: figures, histograms of weights, pictures of masks.
    pub tensorboard: bool,
}

impl Logging {
    pub(super) fn read(mut section: Section) -> Result<Logging> {
        let tensorboard = section.flag("tensorboard", false)?;
        section.finish()?;
        Ok(Logging { tensorboard })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.section("[log]");
        w.key("tensorboard", self.tensorboard);
    }
}
