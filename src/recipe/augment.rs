//! `[augment]`: how training samples are varied, anew in each epoch: each by itself, and mixed with each other.

use super::section::Section;
use super::writer::Writer;
use crate::error::Result;

/// What is 0 or false is not varied. The default varies nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Augment {
    /// Mirrors every second picture, left to right.
    pub flip: bool,
    /// Pixels by which a picture moves at most, up or down and left or right: padded by so many, and cut to its size.
    pub crop: u32,
    /// Shares of height and width, by which it moves at most.
    pub shift: f64,
    /// Degrees, to either side.
    pub rotate: f64,
    /// Its size is between `1 - zoom` and `1 + zoom` of its own.
    pub zoom: f64,
    /// Factors between `1 - x` and `1 + x`: of values, and of their distance from the channel's mean.
    pub brightness: f64,
    pub contrast: f64,
    /// The side, in pixels, of a square that is blanked out.
    pub cutout: u32,
    /// `alpha` of mixup, 0 for none: samples of a batch are mixed with each other by a share from Beta(alpha, alpha).
    pub mixup: f64,
}

impl Augment {
    /// Whether each sample by itself stays as it is.
    pub fn is_none(&self) -> bool {
        Augment { mixup: 0.0, ..self.clone() } == Augment::default()
    }

    pub(super) fn read(mut section: Section) -> Result<Augment> {
        let pixels = |section: &mut Section, key: &'static str| {
            section.take(key, "a whole number of pixels, from 0 to 16384", |value| {
                value.as_integer().and_then(|i| u32::try_from(i).ok()).filter(|i| *i <= 16384)
            })
        };
        let crop = pixels(&mut section, "crop")?;
        let cutout = pixels(&mut section, "cutout")?;
        let below_one = "a number from 0 up to, not including, 1";
        let up_to_one = "a number from 0 to 1";
        let augment = Augment {
            flip: section.flag("flip", false)?,
            crop: crop.unwrap_or(0),
            shift: section.number("shift", up_to_one, |x| (0.0..=1.0).contains(&x))?.unwrap_or(0.0),
            rotate: section
                .number("rotate", "degrees from 0 to 180", |x| (0.0..=180.0).contains(&x))?
                .unwrap_or(0.0),
            zoom: section.number("zoom", below_one, |x| (0.0..1.0).contains(&x))?.unwrap_or(0.0),
            brightness: section.number("brightness", up_to_one, |x| (0.0..=1.0).contains(&x))?.unwrap_or(0.0),
            contrast: section.number("contrast", up_to_one, |x| (0.0..=1.0).contains(&x))?.unwrap_or(0.0),
            cutout: cutout.unwrap_or(0),
            mixup: section
                .number("mixup", "0, or a number from 0.001 to 1000", |x| {
                    x == 0.0 || (0.001..=1000.0).contains(&x)
                })?
                .unwrap_or(0.0),
        };
        section.finish()?;
        Ok(augment)
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.section("[augment]");
        w.key("flip", self.flip);
        w.key("crop", self.crop);
        w.key("shift", self.shift);
        w.key("rotate", self.rotate);
        w.key("zoom", self.zoom);
        w.key("brightness", self.brightness);
        w.key("contrast", self.contrast);
        w.key("cutout", self.cutout);
        w.key("mixup", self.mixup);
    }
}
