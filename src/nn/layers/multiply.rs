//! The product of two values of one extent, number by number: gated units, such as SwiGLU.   Shazeer 2020.

use super::super::coupling::Passing;
use super::super::layer::{Backward, Built, Entry, Layer, Needs, Site};
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Tensor};
use crate::ops::multiply;

pub const ENTRY: Entry = Entry {
    name: "multiply",
    about: "y = a b, number by number; `from` names both",
    required: Vec::new,
    optional: Vec::new,
    build: |context| {
        let [(name, value), (other, extent)] = context.inputs else {
            let names = context.inputs.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
            let error = Error::usage(format!("layer `{}` multiplies two values", context.name));
            return Err(context.at(error.at(format!("from: {names}"))).hint("from = [\"silu1\", \"fc2\"]"));
        };
        if value != extent {
            let what = format!("layer `{}` cannot multiply values of different extents", context.name);
            let error = Error::usage(what).at(format!("`{name}` has {value}, `{other}` has {extent}"));
            return Err(context.at(error).hint("`scale` takes one gate a channel"));
        }
        Ok(Built { layer: Box::new(Multiply), output: value.clone(), params: Vec::new() })
    },
};

struct Multiply;

impl Layer for Multiply {
    fn forward(&self, rec: &mut Recorder, _: Site, x: &[&Tensor], y: &Tensor) -> Result<()> {
        multiply::record(rec, x[0], x[1], y, false)
    }
    fn backward(&self, rec: &mut Recorder, _: Site, pass: &Backward) -> Result<()> {
        for number in 0..2 {
            if let Some(d_x) = pass.d_x[number] {
                multiply::record(rec, pass.d_y, pass.x[1 - number], d_x.to, d_x.adds)?;
            }
        }
        Ok(())
    }
    fn passing(&self) -> Passing {
        Passing::Alone
    }
    fn needs(&self, feeds_back: bool) -> Needs {
        Needs { x: feeds_back, y: false }
    }
}
