//! Some channels of a value.

use toml::Value;

use super::super::coupling::{Passing, left};
use super::super::layer::{Backward, Built, Entry, Layer, Needs, Site};
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Tensor};
use crate::ops::add::{self, Window};

pub const ENTRY: Entry = Entry {
    name: "slice",
    about: "channels `first` up to, not including, `end`",
    required: || vec![("first", Value::Integer(0)), ("end", Value::Integer(1))],
    optional: Vec::new,
    build: |context| {
        let (input, settings) = (context.input()?, context.settings);
        let (first, end) = (settings.u32("first")? as usize, settings.u32("end")? as usize);
        if first >= end || end > input.channels {
            let what =
                format!("layer `{}` takes channels {first} to {end} of {}", context.name, input.channels);
            return Err(settings
                .locate("end", Error::usage(what))
                .hint("first < end <= channels of its input"));
        }
        Ok(Built {
            layer: Box::new(Slice { first, channels: end - first }),
            output: input.with(end - first),
            params: Vec::new(),
        })
    },
};

struct Slice {
    first: usize,
    channels: usize,
}

impl Layer for Slice {
    fn forward(&self, rec: &mut Recorder, site: Site, x: &[&Tensor], y: &Tensor) -> Result<()> {
        let window = Window { skip: self.first * site.cols, at: 0, len: self.channels * site.cols };
        add::record(rec, x[0], y, window, false)
    }
    fn backward(&self, rec: &mut Recorder, site: Site, pass: &Backward) -> Result<()> {
        let at = self.first * site.cols;
        match pass.d_x[0] {
            Some(d_x) if d_x.adds => {
                add::record(rec, pass.d_y, d_x.to, Window { skip: 0, at, len: pass.d_y.len() }, true)
            }
            Some(d_x) => add::record_place(rec, pass.d_y, d_x.to, at),
            None => Ok(()),
        }
    }
    fn reach(&self, inputs: &[&[bool]], _: &[Option<&[u32]>], _: usize) -> Vec<bool> {
        inputs[0][self.first..self.first + self.channels].to_vec()
    }
    fn passing(&self) -> Passing {
        Passing::Moved((self.first..self.first + self.channels).map(|channel| Some((0, channel))).collect())
    }
    fn narrowed(&self, inputs: &[Vec<bool>], output: &[bool]) -> Vec<(&'static str, usize)> {
        let first = left(&inputs[0][..self.first]);
        vec![("first", first), ("end", first + left(output))]
    }
    fn needs(&self, _feeds_back: bool) -> Needs {
        Needs::default()
    }
}
