//! A value as products see it: f32, and bf16 beside it where they read or write that.

use crate::gpu::Tensor;

/// A tensor (features, cols) of f32, and its bf16 copy where that is what is read or, as a result, written.
#[derive(Clone, Copy)]
pub struct Operand<'a> {
    pub wide: &'a Tensor,
    pub narrow: Option<&'a Tensor>,
}

impl<'a> From<&'a Tensor> for Operand<'a> {
    fn from(wide: &'a Tensor) -> Self {
        Self { wide, narrow: None }
    }
}

impl<'a> Operand<'a> {
    /// What is read or written: bf16, if there is any.
    pub fn tensor(self) -> &'a Tensor {
        self.narrow.unwrap_or(self.wide)
    }
    /// As bf16 alone, if `narrow` and there is a copy, or as f32.
    pub fn only(mut self, narrow: bool) -> Self {
        self.narrow = self.narrow.filter(|_| narrow);
        self
    }
}
