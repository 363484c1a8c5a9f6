//! What holds the memory of a device.

use super::feed::Store;
use super::session::Session;
use super::shrinking::Shrinking;
use crate::nn::Life;
use crate::param::{AVERAGE, Companion, LATENT, MEAN, TEACHER};

/// Bytes of a session's tensors, by what they are for. What a device holds besides (copies in textures, lists of mask
/// updates, constants) belongs to what is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Memory {
    /// What forward and backward use, and values behind masks.
    pub weights: u64,
    pub gradients: u64,
    /// Masks, and the indices of packed weights.
    pub masks: u64,
    pub optimizer: u64,
    /// Averages of weights.
    pub averages: u64,
    /// Running means of gradients.
    pub means: u64,
    /// Of progressive shrinking: the full network that teaches, and what subnets are cut out into.
    pub subnets: u64,
    /// Activations and their gradients, in the buffers that they share.
    pub activations: u64,
    /// What those of a training step would take, each in a buffer of its own. They do not: no part of the total.
    pub activations_apart: u64,
    pub data: u64,
}

impl Memory {
    /// What holds memory: keys of reports, and names for people.
    pub const NAMES: [(&str, &str); 9] = [
        ("weights", "weights and biases"),
        ("gradients", "gradients of weights and biases"),
        ("masks", "masks and indices"),
        ("optimizer", "optimizer slots"),
        ("averages", "averages of weights"),
        ("means", "running means"),
        ("subnets", "teacher and subnets"),
        ("activations", "activations and their gradients"),
        ("data", "data"),
    ];

    /// Names for a table, and bytes.
    pub fn rows(&self) -> [(&'static str, u64); 9] {
        let Self {
            weights, gradients, masks, optimizer, averages, means, subnets, activations, data, ..
        } = *self;
        let bytes = [weights, gradients, masks, optimizer, averages, means, subnets, activations, data];
        std::array::from_fn(|at| (Self::NAMES[at].1, bytes[at]))
    }
    pub fn total(&self) -> u64 {
        self.rows().iter().map(|(_, bytes)| bytes).sum()
    }
}

impl Session {
    /// What holds memory now.
    pub fn memory(&self) -> Memory {
        let params = &self.model.params;
        let segments = || params.iter().flat_map(|param| &param.segments);
        let gradients = segments().map(|segment| segment.grad.bytes()).sum();
        let is_slot = |name: &str| self.optimizer.entry.slots.contains(&name);
        let companions = |of: &dyn Fn(&str) -> bool| -> u64 {
            let all = params.iter().flat_map(|param| &param.companions);
            all.filter(|companion| of(companion.name)).map(Companion::bytes).sum()
        };
        let weights = segments().map(|segment| segment.weight.bytes()).sum::<u64>()
            + companions(&|name| name == LATENT);
        let (optimizer, means) = (companions(&is_slot), companions(&|name| name == MEAN));
        let (averages, teacher) = (companions(&|name| name == AVERAGE), companions(&|name| name == TEACHER));
        let exams = [self.validation.as_ref(), Some(&self.test)].into_iter().flatten();
        let sets = exams.map(|exam| &exam.feed.store).chain([&self.feed.store]);
        Memory {
            weights,
            gradients,
            // What else weights have: thresholds and bits of those ever kept among it.
            masks: params.bytes() - weights - gradients - optimizer - averages - means - teacher,
            optimizer,
            averages,
            means,
            subnets: teacher + self.shrinking.as_ref().map_or(0, Shrinking::bytes),
            activations: self.passes.bytes(),
            activations_apart: self.passes.due().schedule.lives.iter().map(Life::bytes).sum(),
            data: sets.map(Store::bytes).sum(),
        }
    }
}
