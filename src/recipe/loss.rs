//! `[loss]`: what training minimises.

use super::section::Section;
use super::writer::Writer;
use crate::error::Result;

/// The loss of training; evaluations measure the plain one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loss {
    /// The share of a label that is spread evenly over all classes, from 0 up to, not including, 1 (Szegedy et al. 2016,
    /// Section 7).
    pub smoothing: f64,
}

impl Loss {
    pub(super) fn read(mut section: Section) -> Result<Loss> {
        let smoothing = section
            .number("smoothing", "a number from 0 up to, not including, 1", |x| (0.0..1.0).contains(&x))?;
        section.finish()?;
        Ok(Loss { smoothing: smoothing.unwrap_or(0.0) })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.section("[loss]");
        w.key("smoothing", self.smoothing);
    }
}
