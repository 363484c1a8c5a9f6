//! An image cut into patches: a sequence of them.   Dosovitskiy et al. 2021.

use toml::Value;

use super::super::extent::Extent;
use super::super::layer::{Backward, Built, Entry, Layer, Needs, Site};
use super::conv2d::image;
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Tensor};
use crate::ops::patches::Patches;

pub const ENTRY: Entry = Entry {
    name: "patches",
    about: "patches of `size` x `size` sites of an image as a sequence, row by row: the channels of a step are (channel, row, column) (Dosovitskiy et al. 2021)",
    required: || vec![("size", Value::Integer(1))],
    optional: Vec::new,
    build: |context| {
        let (sites, settings) = (image(context)?, context.settings);
        let (input, patch) = (context.input()?, settings.u32("size")? as usize);
        if patch == 0 {
            return Err(settings.wrong("size", "at least 1"));
        }
        if !sites.iter().all(|sites| sites.is_multiple_of(patch)) {
            let error = Error::usage(format!("layer `{}` cannot cut its input into patches", context.name))
                .at(format!("height and width of {input} are no multiples of {patch}"));
            return Err(settings.locate("size", error));
        }
        let steps = sites[0] / patch * (sites[1] / patch);
        let output = Extent::new(input.channels * patch * patch, vec![steps]);
        let layer = Cut(Patches { sites, patch, batch: 0 });
        Ok(Built { layer: Box::new(layer), output, params: Vec::new() })
    },
};

/// The batch is that of the pass.
struct Cut(Patches);

impl Cut {
    fn patches(&self, site: Site) -> Patches {
        Patches { batch: site.batch, ..self.0 }
    }
}

impl Layer for Cut {
    fn forward(&self, rec: &mut Recorder, site: Site, x: &[&Tensor], y: &Tensor) -> Result<()> {
        self.patches(site).record_forward(rec, x[0], y)
    }
    fn backward(&self, rec: &mut Recorder, site: Site, pass: &Backward) -> Result<()> {
        let Some(d_x) = pass.d_x[0] else { return Ok(()) };
        self.patches(site).record_backward(rec, pass.d_y, d_x.to, d_x.adds)
    }
    fn reach(&self, inputs: &[&[bool]], _masks: &[Option<&[u32]>], _channels: usize) -> Vec<bool> {
        let taps = self.0.patch * self.0.patch;
        inputs[0].iter().flat_map(|&channel| std::iter::repeat_n(channel, taps)).collect()
    }
    fn needs(&self, _feeds_back: bool) -> Needs {
        Needs::default()
    }
}
