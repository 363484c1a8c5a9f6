//! What is done beside the order of training, and what layers carry along it.

use super::plans::{Plans, Recorded, Segment};
use super::session::Session;
use crate::data::{Dataset, Order, Samples};
use crate::error::{Error, Result};
use crate::nn::{Carried, Model};
use crate::sparsity::Look;

impl Session {
    /// Passes a batch through the network beside the order of training. It is not trained on: totals stay as they are.
    pub fn look(&self, look: Look) -> Result<()> {
        let totals = self.totals.read_u32()?;
        let of = self.step + look.ahead;
        self.aside(|run| run.pass_again(run.looked_at(look.tempered), of))?;
        self.totals.write(&totals)?;
        self.write_batch(self.step, 0)
    }
    fn looked_at(&self, tempered: bool) -> &Segment {
        let Plans { before, updating, tempered: other, .. } = &self.plans;
        other.as_ref().filter(|_| tempered).or(updating.as_ref()).unwrap_or(before)
    }
    /// Replays a part of a step by the samples of the step `of`, which is of the same epoch. Running statistics stay.
    pub(super) fn pass_again(&self, segment: &Segment, of: u64) -> Result<()> {
        self.write_batch(of, 0)?;
        self.go_through(segment, of, false, &mut Recorded::replay)
    }
    /// Does something beside the order of training: what layers carry from batch to batch is as before.
    pub(super) fn aside<T>(&self, with: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        let before = self.carried.as_ref().map(Carried::read).transpose()?;
        let done = with(self)?;
        self.carried.iter().zip(&before).try_for_each(|(carried, values)| carried.write(values))?;
        Ok(done)
    }
}

/// What a layer carries from batch to batch is of the same text only where that is read in streams.
pub(super) fn check_carried(model: &Model, data: &Dataset) -> Result<()> {
    let is_streamed = matches!(&data.train.images, Samples::Tokens(tokens) if tokens.order == Order::Streams);
    let Some(layer) = model.carries().filter(|_| !is_streamed) else { return Ok(()) };
    let what =
        format!("layer `{}` goes on where the batch before ended, and that is of other samples", layer.name);
    Err(Error::usage(what).hint("data.order = \"streams\", or carry = false"))
}
