//! Channels of zeros before and after those of a value: what shortcuts without parameters need where channels grow.

use toml::Value;

use super::super::coupling::{Passing, left};
use super::super::layer::{Backward, Built, Entry, Layer, Needs, Site};
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::ops::add::{self, Window};

pub const ENTRY: Entry = Entry {
    name: "pad_channels",
    about: "`before` channels of zeros, those of the input, and `after` more of zeros",
    required: Vec::new,
    optional: || vec![("before", Value::Integer(0)), ("after", Value::Integer(0))],
    build: |context| {
        let (input, settings) = (context.input()?, context.settings);
        let (before, after) = (settings.u32("before")? as usize, settings.u32("after")? as usize);
        let output = input.with(before + input.channels + after);
        let layer = Box::new(PadChannels { before, channels: input.channels, after });
        Ok(Built { layer, output, params: Vec::new() })
    },
};

struct PadChannels {
    before: usize,
    channels: usize,
    after: usize,
}

impl Layer for PadChannels {
    fn forward(&self, rec: &mut Recorder, site: Site, x: &[&Tensor], y: &Tensor) -> Result<()> {
        add::record_place(rec, x[0], y, self.before * site.cols)
    }
    fn backward(&self, rec: &mut Recorder, site: Site, pass: &Backward) -> Result<()> {
        let Some(d_x) = pass.d_x[0] else { return Ok(()) };
        let window = Window { skip: self.before * site.cols, at: 0, len: self.channels * site.cols };
        add::record(rec, pass.d_y, d_x.to, window, d_x.adds)
    }
    fn reach(&self, inputs: &[&[bool]], _: &[Option<&[u32]>], channels: usize) -> Vec<bool> {
        let mut reached = vec![false; channels];
        reached[self.before..self.before + self.channels].copy_from_slice(inputs[0]);
        reached
    }
    fn passing(&self) -> Passing {
        let own = (0..self.channels).map(|channel| Some((0, channel)));
        let zeros = |len: usize| std::iter::repeat_n(None, len);
        Passing::Moved(zeros(self.before).chain(own).chain(zeros(self.after)).collect())
    }
    fn narrowed(&self, _: &[Vec<bool>], output: &[bool]) -> Vec<(&'static str, usize)> {
        let (before, rest) = output.split_at(self.before);
        vec![("before", left(before)), ("after", left(&rest[self.channels..]))]
    }
    fn needs(&self, _feeds_back: bool) -> Needs {
        Needs::default()
    }
}
