//! The length of each sample, for layers that overlook the steps behind it.

use std::ops::Range;

use toml::Value;

use super::super::extent::Extent;
use super::super::layer::{Backward, Built, Entry, Layer, Needs, Site};
use super::steps::steps;
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::ops::lengths;

pub const ENTRY: Entry = Entry {
    name: "lengths",
    about: "how many steps of tokens each sample has, up to its last token that is not `padding`: of the steps `first` up to, not including, `end` (0: of all); the last input of an `attention`, `lstm` or `gru` that is to overlook padding",
    required: || vec![("padding", Value::Integer(0))],
    optional: || vec![("first", Value::Integer(0)), ("end", Value::Integer(0))],
    build: |context| {
        let (all, settings) = (steps(context)?, context.settings);
        let vocabulary = context.input()?.vocabulary.unwrap_or(1); // anything else is refused, with the layer's name
        let padding = settings.u32("padding")?;
        if padding as usize >= vocabulary {
            return Err(settings.wrong("padding", &format!("a token below {vocabulary}")));
        }
        let first = settings.u32("first")? as usize;
        let end = match settings.u32("end")? as usize {
            0 => all,
            end => end,
        };
        if !(first < end && end <= all) {
            return Err(settings.wrong(
                "end",
                &format!("above `first`, and at most {all}, as many as there are; or 0: all"),
            ));
        }
        let (layer, output) = (Lengths { steps: first..end, padding }, Extent::lengths(end - first));
        Ok(Built { layer: Box::new(layer), output, params: Vec::new() })
    },
};

struct Lengths {
    steps: Range<usize>,
    padding: u32,
}

impl Layer for Lengths {
    fn forward(&self, rec: &mut Recorder, _site: Site, x: &[&Tensor], y: &Tensor) -> Result<()> {
        lengths::record(rec, x[0], self.steps.clone(), self.padding, y)
    }
    /// Whole numbers have no gradient.
    fn backward(&self, _rec: &mut Recorder, _site: Site, _pass: &Backward) -> Result<()> {
        Ok(())
    }
    fn needs(&self, _feeds_back: bool) -> Needs {
        Needs::default()
    }
    fn reads_tokens(&self) -> bool {
        true
    }
    fn looks_ahead(&self) -> bool {
        true
    }
}
