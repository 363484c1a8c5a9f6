//! The sum of values of one extent: residual connections.

use super::super::coupling::Passing;
use super::super::layer::{Backward, Built, Entry, EqualGrads, Layer, Needs, Rectifies, Site};
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Tensor};
use crate::ops::add::{self, Window};
use crate::ops::relu;

pub const ENTRY: Entry = Entry {
    name: "add",
    about: "y = a + b + ..; `from` names what is added",
    required: Vec::new,
    optional: Vec::new,
    build: |context| {
        let [(first, output), rest @ ..] = context.inputs else { unreachable!("a layer reads something") };
        if rest.is_empty() {
            let error = Error::usage(format!("layer `{}` adds at least two values", context.name));
            return Err(context.at(error.at(format!("from: {first}"))).hint("from = [\"fc2\", \"relu1\"]"));
        }
        if let Some((other, extent)) = rest.iter().find(|(_, extent)| extent != output) {
            let error =
                Error::usage(format!("layer `{}` cannot add values of different extents", context.name))
                    .at(format!("`{first}` has {output}, `{other}` has {extent}"));
            return Err(context.at(error).hint("a linear layer on one of them makes them equal"));
        }
        let add = Add { inputs: context.inputs.len(), relu: false };
        Ok(Built { layer: Box::new(add), output: output.clone(), params: Vec::new() })
    },
};

struct Add {
    inputs: usize,
    relu: bool,
}

impl Layer for Add {
    fn forward(&self, rec: &mut Recorder, _: Site, x: &[&Tensor], y: &Tensor) -> Result<()> {
        add::record_sum(rec, x[0], x[1], y, self.relu)?;
        x[2..].iter().try_for_each(|more| add::record(rec, more, y, Window::all(y), true))
    }
    fn backward(&self, rec: &mut Recorder, _: Site, pass: &Backward) -> Result<()> {
        for d_x in pass.d_x.iter().flatten() {
            match pass.y.filter(|_| self.relu) {
                Some(y) => relu::record_backward(rec, y, pass.d_y, d_x.to, d_x.adds)?,
                None => add::record(rec, pass.d_y, d_x.to, Window::all(d_x.to), d_x.adds)?,
            }
        }
        Ok(())
    }
    fn equal_grads(&self) -> EqualGrads {
        if self.relu { EqualGrads::Inputs } else { EqualGrads::All }
    }
    fn passing(&self) -> Passing {
        Passing::Alone
    }
    fn needs(&self, feeds_back: bool) -> Needs {
        Needs { x: false, y: self.relu && feeds_back }
    }
    fn rectify_output(&mut self) -> Option<Rectifies> {
        self.relu = self.inputs == 2;
        self.relu.then_some(Rectifies::Itself)
    }
}
