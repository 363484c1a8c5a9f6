//! Weights that are not finite are refused by name: at the end of every epoch, and before anything is saved.
//!
//! The loss does not tell: of a hidden unit with such a weight, `max(NaN, 0)` is 0. What masks are decided by is looked at
//! by every update anyway; this is for runs without any, and for the time between them.

use super::session::Session;
use crate::error::{Error, Kind, Result};
use crate::gpu::{Dtype, Gpu, Plan, Recorder, Tensor};
use crate::ops::finite;
use crate::param::ParamSet;

/// The recorded count.
pub(super) struct Numbers {
    plan: Plan,
    /// By parameter.
    counts: Tensor,
}

impl Numbers {
    pub fn record(gpu: &Gpu, params: &ParamSet) -> Result<Self> {
        let counts = gpu.tensor("not finite", Dtype::U32, &[params.len()])?;
        let mut rec = Recorder::new(gpu);
        for (index, param) in params.iter().enumerate() {
            rec.scope(&param.name);
            let mut values = param.stored().into_iter();
            values.try_for_each(|values| finite::record(&mut rec, values, &counts, index))?;
        }
        Ok(Self { plan: rec.finish()?, counts })
    }
}

impl Session {
    /// Refuses weights and biases that are not finite. Waits for the device.
    ///
    /// # Errors
    /// `Kind::Numbers`, with the names of what has any.
    pub fn check_weights(&self) -> Result<()> {
        let Some(found) = self.not_finite()? else { return Ok(()) };
        Err(Error::new(Kind::Numbers, format!("weights are not finite: {found}"))
            .at(format!("after {} steps", self.step))
            .hint("a lower learning rate; `coppice resume` starts from the last good checkpoint"))
    }

    /// Which weights and biases are not finite, and how many of each: `1 of fc1.weight, 2 of fc1.bias`.
    pub(super) fn not_finite(&self) -> Result<Option<String>> {
        let Numbers { plan, counts } = &self.plans.numbers;
        counts.write(&vec![0u32; counts.len()])?;
        plan.replay()?;
        let counts = counts.read_u32()?;
        let params = &self.model.params;
        let broken = params.iter().zip(counts).filter(|&(_, count)| count > 0);
        let found: Vec<String> = broken.map(|(param, count)| format!("{count} of {}", param.name)).collect();
        Ok((!found.is_empty()).then(|| found.join(", ")))
    }
}
