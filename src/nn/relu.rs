//! ReLU as a layer of its own, where no linear layer can do it on the way.

use super::Operand;
use super::layer::{Entry, Layer};
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::ops::relu;
use crate::ops::variants::Choices;

pub const ENTRY: Entry = Entry {
    name: "relu",
    about: "y = max(x, 0)",
    required: Vec::new,
    build: |context, _| Ok(Box::new(Relu { name: context.name.to_string(), width: context.inputs })),
};

struct Relu {
    name: String,
    width: usize,
}

impl Layer for Relu {
    fn name(&self) -> &str {
        &self.name
    }
    fn outputs(&self) -> usize {
        self.width
    }
    fn forward(&self, rec: &mut Recorder, _: &Choices, x: Operand, y: Operand) -> Result<()> {
        relu::record_forward(rec, x.wide, y.wide)
    }
    fn backward(
        &self,
        rec: &mut Recorder,
        _: &Choices,
        _x: Operand,
        y: &Tensor,
        d_y: Operand,
        d_x: Option<Operand>,
    ) -> Result<()> {
        d_x.map_or(Ok(()), |d_x| relu::record_backward(rec, y, d_y.wide, d_x.wide))
    }
    fn is_relu(&self) -> bool {
        true
    }
}
