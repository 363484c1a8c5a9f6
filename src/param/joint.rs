//! Small parameters side by side in memory, so that one dispatch can update them: a sparse step has little more to do than
//! to start its dispatches.
//!
//! Weights lie apart from biases: a product reads one of each, or writes both of their gradients, and what a kernel writes
//! must be memory that nothing else of it is bound to.

use super::{BACKWARD_SET, Data, LATENT, Like, MaskMode, Param, ParamId, ParamSet};
use crate::error::Result;
use crate::gpu::{Gpu, Tensor};

/// More weights than these are no small parameter; and from here on reading through textures pays, on adapters where it
/// does.
pub const MANY: usize = 1 << 16;

impl Param {
    /// What it is to its layer: the last word of its name.
    fn role(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or(&self.name)
    }
    /// Whether an update has nothing but values, gradient and slots to go through, and few of them. None at all cannot be
    /// bound where the memory ends.
    pub fn is_small(&self) -> bool {
        let is_plain = self.update_mode() == MaskMode::Free
            && [LATENT, BACKWARD_SET].iter().all(|n| self.tensors(n).is_empty());
        is_plain && self.segments.len() == 1 && (1..=MANY).contains(&self.segments[0].weight.len())
    }
    /// Values, gradient and slots of a small parameter: its parts.
    fn parts(&self) -> Vec<&Tensor> {
        let segment = &self.segments[0];
        [&segment.weight, &segment.grad]
            .into_iter()
            .chain(self.slots().flat_map(|slot| slot.tensors()))
            .collect()
    }
    fn parts_mut(&mut self) -> Vec<&mut Tensor> {
        let segment = &mut self.segments[0];
        let slots = self.companions.iter_mut().filter(|own| own.like == Like::Values);
        let slots = slots.filter_map(|own| match &mut own.data {
            Data::Device(tensors) => tensors.first_mut(),
            Data::Host(_) => None,
        });
        [&mut segment.weight, &mut segment.grad].into_iter().chain(slots).collect()
    }
}

impl ParamSet {
    /// Brings small parameters of one role that have as many parts side by side, where they are not yet: values, gradients
    /// and slots.
    ///
    /// # Errors
    /// `Kind::Memory` where the device has no room.
    pub fn join(&mut self, gpu: &Gpu) -> Result<()> {
        let mut roles: Vec<((String, bool, usize), Vec<ParamId>)> = Vec::new();
        for (id, param) in self.pairs().filter(|(_, param)| param.is_small()) {
            let role = (param.role().to_string(), param.is_matrix(), param.parts().len());
            match roles.iter_mut().find(|(own, _)| *own == role) {
                Some((_, members)) => members.push(id),
                None => roles.push((role, vec![id])),
            }
        }
        // As many as surely fit one binding.
        let most = (gpu.limits().binding_bytes as usize / (MANY * 4)).max(1);
        for members in roles.iter().flat_map(|(_, members)| members.chunks(most)) {
            let follows = |pair: &[ParamId]| {
                let [parts, next] = [pair[0], pair[1]].map(|id| self[id].parts());
                parts.iter().zip(next).all(|(part, next)| part.through(next).is_some())
            };
            if !members.windows(2).all(follows) {
                self.move_together(gpu, members)?;
            }
        }
        Ok(())
    }

    fn move_together(&mut self, gpu: &Gpu, members: &[ParamId]) -> Result<()> {
        for part in 0..self[members[0]].parts().len() {
            let own: Vec<&Tensor> = members.iter().map(|&id| self[id].parts()[part]).collect();
            let moved = gpu.side_by_side("small parameters", &own)?;
            for (&id, tensor) in members.iter().zip(moved) {
                *self[id].parts_mut()[part] = tensor;
            }
        }
        Ok(())
    }
}
