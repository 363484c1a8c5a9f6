//! Whatever a weight has besides its values, gradient and mask: state of the run, by name.
//!
//! Checkpoints, the digest, repacking and byte counts walk the list of companions, so that a new one is stored, restored,
//! moved and counted without another line.

use super::{Param, full_mask};
use crate::error::Result;
use crate::gpu::{Dtype, Gpu, Tensor};

/// The values behind a mask, where pruned weights keep one. Files hold them as the weight itself, unless thresholds shrink
/// what the forward pass sees of them.
pub const LATENT: &str = "latent";
/// The weights that are trained, where these are more than the mask keeps.
pub const BACKWARD_SET: &str = "reach";
/// Masks that are made anew in every step, as they were when they were recorded last.
pub const RECORDED: &str = "recorded";
/// A soft threshold that is learned.
pub const THRESHOLD: &str = "threshold";
/// A running mean of the dense gradient.
pub const MEAN: &str = "mean";
/// The weights that were ever kept before the last update.
pub const EVER: &str = "ever";
/// The running mean of a weight over the steps.
pub const AVERAGE: &str = "average";
/// The values that a network is taught by.
pub const TEACHER: &str = "teacher";
/// The values that are gone back to.
pub const EARLY: &str = "early";

/// What a companion has a number for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Like {
    /// Every value that is stored: of a packed weight, those kept. It moves where they move.
    Values,
    /// Every weight, a bit each, however the weight is stored.
    Mask,
    /// Every weight, however it is stored.
    Dense,
    /// The parameter.
    Scalar,
}

/// Where a companion lies.
pub enum Data {
    /// By segment.
    Device(Vec<Tensor>),
    /// What no step reads costs the device nothing.
    Host(Vec<f32>),
}

pub struct Companion {
    /// As in files: `mean` of `fc1.weight` is `fc1.weight.mean`.
    pub name: &'static str,
    pub like: Like,
    pub data: Data,
}

impl Companion {
    /// Its tensors, by segment; none on the host.
    pub fn tensors(&self) -> &[Tensor] {
        match &self.data {
            Data::Device(tensors) => tensors,
            Data::Host(_) => &[],
        }
    }
    /// Bytes on the device.
    pub fn bytes(&self) -> u64 {
        self.tensors().iter().map(Tensor::bytes).sum()
    }
    /// All of its numbers, end to end; not for masks.
    pub fn read_f32(&self) -> Result<Vec<f32>> {
        match &self.data {
            Data::Device(tensors) => read_f32(tensors),
            Data::Host(values) => Ok(values.clone()),
        }
    }
    /// The words of a mask, those of one segment behind those of another.
    pub fn read_u32(&self) -> Result<Vec<u32>> {
        let mut all = Vec::new();
        self.tensors().iter().try_for_each(|tensor| tensor.read_u32().map(|own| all.extend(own)))?;
        Ok(all)
    }
    /// Sets all of its numbers or words.
    pub fn write<T: bytemuck::Pod>(&mut self, values: &[T]) -> Result<()> {
        match &mut self.data {
            Data::Device(tensors) => write(&*tensors, values),
            Data::Host(own) => {
                *own = bytemuck::cast_slice(values).to_vec();
                Ok(())
            }
        }
    }
    /// Makes all of its numbers 0.
    pub fn clear(&self) -> Result<()> {
        self.tensors().iter().try_for_each(|tensor| tensor.write(&vec![0u32; tensor.len()]))
    }
}

/// Reads tensors of numbers end to end.
pub(super) fn read_f32<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> Result<Vec<f32>> {
    let mut all = Vec::new();
    for tensor in tensors {
        all.extend(tensor.read_f32()?);
    }
    Ok(all)
}

/// Writes values that belong to several tensors, end to end.
pub(super) fn write<'a, T: bytemuck::Pod>(
    tensors: impl IntoIterator<Item = &'a Tensor>,
    values: &[T],
) -> Result<()> {
    let mut rest = values;
    for tensor in tensors {
        let (own, others) = rest.split_at(tensor.len());
        tensor.write(own)?;
        rest = others;
    }
    Ok(())
}

impl Param {
    /// Gives it a companion on the device, all 0.
    ///
    /// # Errors
    /// `Kind::Memory` where the device has no room.
    pub fn accompany(&mut self, gpu: &Gpu, name: &'static str, like: Like) -> Result<()> {
        let (label, inner) = (format!("{}.{name}", self.name), self.matrix().inner());
        let rows: Vec<usize> = self.spans(gpu)?.into_iter().map(|rows| rows.len()).collect();
        let extents: Vec<Vec<usize>> = match like {
            Like::Values => self.segments.iter().map(|segment| segment.weight.shape.clone()).collect(),
            Like::Mask => rows.iter().map(|n| vec![(n * inner).div_ceil(32)]).collect(),
            Like::Dense => rows.iter().map(|n| [&[*n], &self.shape[1..]].concat()).collect(),
            Like::Scalar => vec![vec![1]],
        };
        let dtype = if like == Like::Mask { Dtype::U32 } else { Dtype::F32 };
        let tensors =
            extents.iter().map(|extent| gpu.tensor(&label, dtype, extent)).collect::<Result<_>>()?;
        self.companions.push(Companion { name, like, data: Data::Device(tensors) });
        Ok(())
    }

    /// Gives it a mask as a companion that has all weights.
    pub fn accompany_by_ones(&mut self, gpu: &Gpu, name: &'static str) -> Result<()> {
        self.accompany(gpu, name, Like::Mask)?;
        let (inner, spans) = (self.matrix().inner(), self.spans(gpu)?);
        let ones: Vec<u32> = spans.into_iter().flat_map(|rows| full_mask(rows.len() * inner)).collect();
        self.companions.last_mut().map_or(Ok(()), |own| own.write(&ones))
    }

    pub fn companion(&self, name: &str) -> Option<&Companion> {
        self.companions.iter().find(|companion| companion.name == name)
    }
    /// The tensors of a companion, by segment; none if it has no such companion.
    pub fn tensors(&self, name: &str) -> &[Tensor] {
        self.companion(name).map_or(&[], Companion::tensors)
    }
    /// Takes companions away.
    pub fn part_with(&mut self, names: &[&str]) {
        self.companions.retain(|companion| !names.contains(&companion.name));
    }
    /// What is kept for every value, by an optimizer and as its average: all that is like them, but the values behind a
    /// mask.
    pub fn slots(&self) -> impl Iterator<Item = &Companion> {
        self.companions.iter().filter(|own| own.like == Like::Values && own.name != LATENT)
    }
    /// Makes what is kept for every value 0.
    pub fn clear_slots(&self) -> Result<()> {
        self.slots().try_for_each(Companion::clear)
    }
    /// Gives what is like the values the shape that these have now; all of it is 0.
    pub(super) fn renew_companions(&mut self, gpu: &Gpu) -> Result<()> {
        let (like, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.companions).into_iter().partition(|own| own.like == Like::Values);
        let names: Vec<&'static str> = like.iter().map(|own| own.name).collect();
        drop(like); // its memory first
        names.into_iter().try_for_each(|name| self.accompany(gpu, name, Like::Values))?;
        self.companions.extend(others);
        Ok(())
    }
}
