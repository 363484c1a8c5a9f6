//! All numbers of an image as plain features. Linear layers read images so anyway; for others this copies.

use super::super::coupling::Passing;
use super::super::extent::Extent;
use super::super::layer::{Backward, Built, Entry, EqualGrads, Layer, Needs, Site};
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::ops::add::{self, Window};

pub const ENTRY: Entry = Entry {
    name: "flatten",
    about: "all numbers of an image as features: those of a channel side by side",
    required: Vec::new,
    optional: Vec::new,
    build: |context| {
        let input = context.input()?;
        let layer = Flatten { channels: input.channels, sites: input.cols(1) };
        Ok(Built { layer: Box::new(layer), output: Extent::features(input.numbers()), params: Vec::new() })
    },
};

struct Flatten {
    channels: usize,
    sites: usize,
}

impl Layer for Flatten {
    fn forward(&self, rec: &mut Recorder, _: Site, x: &[&Tensor], y: &Tensor) -> Result<()> {
        add::record(rec, x[0], y, Window::all(y), false)
    }
    fn backward(&self, rec: &mut Recorder, _: Site, pass: &Backward) -> Result<()> {
        let Some(d_x) = pass.d_x[0] else { return Ok(()) };
        add::record(rec, pass.d_y, d_x.to, Window::all(d_x.to), d_x.adds)
    }
    fn equal_grads(&self) -> EqualGrads {
        EqualGrads::All
    }
    fn reach(&self, inputs: &[&[bool]], _: &[Option<&[u32]>], _: usize) -> Vec<bool> {
        inputs[0].iter().flat_map(|&channel| std::iter::repeat_n(channel, self.sites)).collect()
    }
    fn passing(&self) -> Passing {
        let numbers = 0..self.channels * self.sites;
        Passing::Moved(numbers.map(|number| Some((0, number / self.sites))).collect())
    }
    fn needs(&self, _feeds_back: bool) -> Needs {
        Needs::default()
    }
    fn looks_ahead(&self) -> bool {
        true
    }
    fn is_flatten(&self) -> bool {
        true
    }
}
