//! Weights that are not finite are refused by name: at the end of every epoch, and before anything is saved.
//!
//! A loss that is not finite does not say where it comes from, and the last update before a checkpoint has none yet. What
//! masks are decided by is looked at by every update anyway; this is for runs without any, and for the time between.

use super::session::Session;
use crate::error::{Error, Kind, Result};
use crate::gpu::{Dtype, Gpu, Plan, Recorder, Tensor};
use crate::ops::finite;
use crate::param::ParamSet;
use crate::store::Array;

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

/// Refuses tensors that were read and hold what is not finite.
///
/// # Errors
/// `Kind::Numbers`, with the names of what has any, and how many.
pub fn check_read<'a>(tensors: impl IntoIterator<Item = (&'a str, &'a Array)>) -> Result<()> {
    let count = |array: &Array| array.to_f32().iter().filter(|value| !value.is_finite()).count();
    let Some(found) = listed(tensors.into_iter().map(|(name, array)| (name, count(array)))) else {
        return Ok(());
    };
    Err(Error::new(Kind::Numbers, format!("what was read is not finite: {found}"))
        .hint("`coppice inspect` shows each tensor; another checkpoint, or train anew"))
}

/// The counts above 0: `1 of fc1.weight, 2 of fc1.bias`.
fn listed<'a>(counts: impl Iterator<Item = (&'a str, usize)>) -> Option<String> {
    let broken = counts.filter(|(_, count)| *count > 0);
    let found: Vec<String> = broken.map(|(name, count)| format!("{count} of {name}")).collect();
    (!found.is_empty()).then(|| found.join(", "))
}

impl Session {
    /// Refuses weights and biases that are not finite. Waits for the device.
    ///
    /// # Errors
    /// `Kind::Numbers`, with the names of what has any.
    pub fn check_weights(&self) -> Result<()> {
        let Some(found) = self.not_finite()? else { return Ok(()) };
        Err(Error::new(Kind::Numbers, format!("weights are not finite: {found}"))
            .at(format!("after {} steps", self.steps_done()))
            .hint("a lower learning rate; `coppice resume` starts from the last good checkpoint"))
    }

    /// Which weights and biases are not finite, and how many of each: `1 of fc1.weight, 2 of fc1.bias`.
    pub(super) fn not_finite(&self) -> Result<Option<String>> {
        let Numbers { plan, counts } = &self.plans.numbers;
        counts.write(&vec![0u32; counts.len()])?;
        plan.replay()?;
        let counts = counts.read_u32()?;
        let names = self.model.params.iter().map(|param| param.name.as_str());
        Ok(listed(names.zip(counts.into_iter().map(|count| count as usize))))
    }
}
