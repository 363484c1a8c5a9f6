//! The storage that a run will have once its weights are packed.

use super::plans::Plans;
use super::session::Session;
use crate::error::Result;
use crate::param::MaskMode;
use crate::sparsity::{Packed, Pruner, any_pattern};

impl Session {
    fn to_pack(&self) -> Result<Vec<Packed>> {
        self.pruner.as_ref().map_or(Ok(Vec::new()), |pruner| pruner.to_pack(&self.model.params))
    }
    /// Whether mask updates will pack what is not packed now.
    ///
    /// # Errors
    /// As those of budgets.
    pub fn packs_later(&self) -> Result<bool> {
        Ok(!self.to_pack()?.is_empty())
    }

    /// Packs what mask updates to come will pack, in their order, on a device that only counts: its peak is that of the whole
    /// run afterwards.
    ///
    /// # Errors
    /// As those of budgets, and `Kind::Memory` where the device has no room.
    pub fn pack_ahead(&mut self) -> Result<()> {
        for packed in self.to_pack()? {
            self.plans = Plans::none(&self.gpu)?;
            self.pruner.iter_mut().for_each(Pruner::forget);
            for (id, kept) in packed {
                let param = &mut self.model.params[id];
                if param.mask_mode() == MaskMode::Flowing {
                    self.pruner.iter_mut().for_each(Pruner::freeze);
                    param.hold();
                }
                param.allocate_packed(&self.gpu, any_pattern(param, kept))?;
            }
            self.record()?;
        }
        Ok(())
    }
}
