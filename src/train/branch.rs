//! A run with masks that goes on from where a dense one was.

use super::checkpoint::Snapshot;
use super::session::Session;
use super::{compact, places};
use crate::error::{Error, Result};
use crate::param::Flow;

impl Session {
    /// Takes over the state of a dense run of the same network, as if held masks had kept every weight so far. The
    /// method's next update prunes it.
    ///
    /// # Errors
    /// `Kind::Checkpoint` where a tensor is missing or has another shape, or where the other run had masks.
    pub fn branch_from(&mut self, dense: &Snapshot) -> Result<()> {
        let mut full = dense.clone();
        for param in self.model.params().into_iter().filter(|param| param.flow == Flow::Held) {
            let slots = self.optimizer.entry.slots.iter().map(|slot| format!("{}.{slot}", param.name));
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
            let places: Vec<u32> = (0..param.len() as u32).collect();
            places::insert(&mut full.arrays, &param.name, param.form, &param.shape, &places);
        }
        self.restore(&full)
    }
}
