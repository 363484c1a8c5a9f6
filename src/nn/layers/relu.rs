//! ReLU as a layer of its own, where no layer before it can do it on the way.

use super::super::layer::{Backward, Built, Entry, Layer, Needs, Site};
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::ops::relu;

pub const ENTRY: Entry = Entry {
    name: "relu",
    about: "y = max(x, 0)",
    required: Vec::new,
    optional: Vec::new,
    build: |context| {
        Ok(Built { layer: Box::new(Relu), output: context.input()?.clone(), params: Vec::new() })
    },
};

struct Relu;

impl Layer for Relu {
    fn forward(&self, rec: &mut Recorder, _: Site, x: &[&Tensor], y: &Tensor) -> Result<()> {
        relu::record_forward(rec, x[0], y)
    }
    fn backward(&self, rec: &mut Recorder, _: Site, pass: &Backward) -> Result<()> {
        let (Some(d_x), Some(y)) = (pass.d_x[0], pass.y) else { return Ok(()) };
        relu::record_backward(rec, y, pass.d_y, d_x.to, d_x.adds)
    }
    fn needs(&self, feeds_back: bool) -> Needs {
        Needs { x: false, y: feeds_back }
    }
    fn is_elementwise(&self) -> bool {
        true
    }
    fn is_relu(&self) -> bool {
        true
    }
}
