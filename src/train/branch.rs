//! A run with masks that goes on from where a dense one was.

use super::checkpoint::Snapshot;
use super::session::Session;
use super::{compact, indices};
use crate::error::{Error, Result};
use crate::param::MaskMode;
use crate::store::Array;

impl Session {
    /// Takes over the state of a dense run of the same network, as if held masks had kept every weight so far. The
    /// method's next update prunes it.
    ///
    /// # Errors
    /// `Kind::Checkpoint` where a tensor is missing or has another shape, or where the other run had masks.
    pub fn branch_from(&mut self, dense: &Snapshot) -> Result<()> {
        let mut full = dense.clone();
        for param in self.model.params.iter().filter(|param| param.mask_mode() == MaskMode::Held) {
            let slots = param.slots().map(|slot| format!("{}.{}", param.name, slot.name));
            for name in std::iter::once(param.name.clone()).chain(slots) {
                let array = full.arrays.remove(&name).filter(|array| array.shape == param.shape);
                let array = array.ok_or_else(|| {
                    Error::checkpoint(format!(
                        "the dense run has no tensor `{name}` of shape {:?}",
                        param.shape
                    ))
                    .hint("the same network and optimizer, without pruning")
                })?;
                compact::insert_kept(&mut full.arrays, &name, &array.to_f32());
            }
            let indices: Vec<u32> = (0..param.len() as u32).collect();
            indices::insert(&mut full.arrays, &param.name, param.form, &param.shape, &indices);
        }
        self.restore(&full)
    }

    /// The state of a dense run after this run's method has pruned it and as many weights have grown in each tensor as it
    /// lost: of a dense network that is all of them, whatever their gradients are. They and their slots are 0, and no
    /// mask holds them there.
    ///
    /// # Errors
    /// As those of [`Session::branch_from`] and of mask updates.
    pub fn regrown_from(&mut self, dense: &Snapshot) -> Result<Snapshot> {
        self.branch_from(dense)?;
        let step = self.step;
        self.update_masks()?
            .ok_or_else(|| Error::internal(format!("no mask update is due at step {step}")))?;
        let mut full = dense.clone();
        for param in self.model.params.iter().filter(|param| param.mask_mode() == MaskMode::Held) {
            let mask = param.read_mask()?;
            let slots = param.slots().map(|slot| format!("{}.{}", param.name, slot.name));
            for name in std::iter::once(param.name.clone()).chain(slots) {
                let Some(array) = full.arrays.get_mut(&name) else { continue };
                let mut values = array.to_f32();
                let pruned = |i: usize| mask[i / 32] >> (i % 32) & 1 == 0;
                values.iter_mut().enumerate().filter(|(i, _)| pruned(*i)).for_each(|(_, value)| *value = 0.0);
                *array = Array::f32(array.shape.clone(), &values);
            }
        }
        Ok(full)
    }
}
