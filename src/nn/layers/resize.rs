//! Images of another size, each channel by itself.

use toml::Value;

use super::super::coupling::Passing;
use super::super::extent::Extent;
use super::super::layer::{Backward, Built, Entry, Layer, Needs, Site};
use super::conv2d::image;
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::ops::resize::{self, Resize};

pub const ENTRY: Entry = Entry {
    name: "resize",
    about: "images of `height` x `width` sites, by linear interpolation between those that are read",
    required: || vec![("height", Value::Integer(1)), ("width", Value::Integer(1))],
    optional: Vec::new,
    build: |context| {
        let settings = context.settings;
        let side = |key: &str| match settings.u32(key)? {
            side @ 1..=LARGEST_SIDE => Ok(side as usize),
            _ => Err(settings.wrong(key, "a whole number from 1 to 16384")),
        };
        let (from, to) = (image(context)?, [side("height")?, side("width")?]);
        let output = Extent { sites: to.to_vec(), ..context.input()?.clone() };
        Ok(Built { layer: Box::new(Resized(Resize { from, to })), output, params: Vec::new() })
    },
};

/// As of pictures that are read.
const LARGEST_SIDE: u32 = 16384;

struct Resized(Resize);

impl Layer for Resized {
    fn forward(&self, rec: &mut Recorder, _: Site, x: &[&Tensor], y: &Tensor) -> Result<()> {
        resize::record(rec, &self.0, x[0], y)
    }
    fn backward(&self, rec: &mut Recorder, _: Site, pass: &Backward) -> Result<()> {
        let Some(d_x) = pass.d_x[0] else { return Ok(()) };
        resize::record_backward(rec, &self.0, pass.d_y, d_x.to, d_x.adds)
    }
    fn passing(&self) -> Passing {
        Passing::Alone
    }
    fn needs(&self, _feeds_back: bool) -> Needs {
        Needs::default()
    }
}
