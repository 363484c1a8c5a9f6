//! Channels of several values, one after another.

use super::super::coupling::Passing;
use super::super::layer::{Backward, Built, Entry, Layer, Needs, Site};
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Tensor};
use crate::ops::add::{self, Window};

pub const ENTRY: Entry = Entry {
    name: "concat",
    about: "the channels of several values, one after another; `from` names them",
    required: Vec::new,
    optional: Vec::new,
    build: |context| {
        let (first, extent) = &context.inputs[0];
        if let Some((other, found)) = context.inputs.iter().find(|(_, input)| input.sites != extent.sites) {
            let error =
                Error::usage(format!("layer `{}` cannot join values of different sites", context.name));
            return Err(context.at(error.at(format!("`{first}` has {extent}, `{other}` has {found}"))));
        }
        let channels: Vec<usize> = context.inputs.iter().map(|(_, input)| input.channels).collect();
        let output = extent.with(channels.iter().sum());
        Ok(Built { layer: Box::new(Concat { channels }), output, params: Vec::new() })
    },
};

struct Concat {
    /// Of each input.
    channels: Vec<usize>,
}

impl Concat {
    /// Where each input lies in the output, and how long it is.
    fn spans(&self, cols: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.channels.iter().scan(0, move |end, channels| {
            let at = *end;
            *end += channels * cols;
            Some((at, channels * cols))
        })
    }
}

impl Layer for Concat {
    fn forward(&self, rec: &mut Recorder, site: Site, x: &[&Tensor], y: &Tensor) -> Result<()> {
        for (x, (at, len)) in x.iter().zip(self.spans(site.cols)) {
            add::record(rec, x, y, Window { skip: 0, at, len }, false)?;
        }
        Ok(())
    }
    fn backward(&self, rec: &mut Recorder, site: Site, pass: &Backward) -> Result<()> {
        for (d_x, (skip, len)) in pass.d_x.iter().zip(self.spans(site.cols)) {
            if let Some(d_x) = d_x {
                add::record(rec, pass.d_y, d_x.to, Window { skip, at: 0, len }, d_x.adds)?;
            }
        }
        Ok(())
    }
    fn reach(&self, inputs: &[&[bool]], _: &[Option<&[u32]>], _: usize) -> Vec<bool> {
        inputs.concat()
    }
    fn passing(&self) -> Passing {
        let all = self.channels.iter().enumerate();
        Passing::Moved(
            all.flat_map(|(input, &own)| (0..own).map(move |channel| Some((input, channel)))).collect(),
        )
    }
    fn needs(&self, _feeds_back: bool) -> Needs {
        Needs::default()
    }
}
