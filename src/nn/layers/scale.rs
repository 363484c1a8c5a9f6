//! Channels scaled by gates: what squeeze-and-excitation ends with.   Hu, Shen & Sun 2018.

use super::super::coupling::Passing;
use super::super::extent::Extent;
use super::super::layer::{Backward, Built, Entry, Layer, Needs, Site};
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Tensor};
use crate::ops::{scale, sites};

pub const ENTRY: Entry = Entry {
    name: "scale",
    about: "each channel times a gate, at every site; `from` names the value and the gates (Hu et al. 2018)",
    required: Vec::new,
    optional: Vec::new,
    build: |context| {
        let [(name, value), (gate_name, gate)] = context.inputs else {
            let what = format!("layer `{}` reads a value and its gates", context.name);
            let names = context.inputs.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
            let error = Error::usage(what).at(format!("from: {names}"));
            return Err(context.at(error).hint("from = [\"conv3\", \"gate3\"]"));
        };
        if *gate != Extent::features(value.channels) {
            let what = format!("layer `{}` takes one gate a channel", context.name);
            let error = Error::usage(what).at(format!("`{name}` has {value}, `{gate_name}` has {gate}"));
            return Err(context.at(error).hint("a linear layer with as many outputs as there are channels"));
        }
        Ok(Built { layer: Box::new(Scale), output: value.clone(), params: Vec::new() })
    },
};

struct Scale;

impl Layer for Scale {
    fn forward(&self, rec: &mut Recorder, _: Site, x: &[&Tensor], y: &Tensor) -> Result<()> {
        scale::record(rec, x[0], x[1], y, false)
    }
    fn backward(&self, rec: &mut Recorder, _: Site, pass: &Backward) -> Result<()> {
        let [d_x, d_gate] = [0, 1].map(|number| pass.d_x[number]);
        if let Some(d_x) = d_x {
            scale::record(rec, pass.d_y, pass.x[1], d_x.to, d_x.adds)?;
        }
        let Some(d_gate) = d_gate else { return Ok(()) };
        sites::record_products(rec, pass.d_y, pass.x[0], d_gate.to, d_gate.adds)
    }
    fn passing(&self) -> Passing {
        Passing::Alone
    }
    fn needs(&self, feeds_back: bool) -> Needs {
        Needs { x: feeds_back, y: false }
    }
}
