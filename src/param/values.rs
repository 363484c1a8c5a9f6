//! Values, gradients and masks of a parameter, from and to the host, however it is stored.

use super::companion::{read_f32, write};
use super::{Companion, LATENT, Param, Segment, Storage, THRESHOLD, full_mask, indices, kept};
use crate::error::Result;
use crate::gpu::Tensor;

impl Param {
    /// Sets all values, `shape` row by row. With a latent weight both get them.
    pub fn write(&self, values: &[f32]) -> Result<()> {
        let kept = |p: &super::Packed| p.index.pattern.flat().iter().map(|&i| values[i as usize]).collect();
        self.write_stored(&self.packed().map_or_else(|| values.to_vec(), kept))
    }
    /// Sets the values that are stored.
    pub(super) fn write_stored(&self, values: &[f32]) -> Result<()> {
        write(self.segments.iter().map(|segment| &segment.weight), values)?;
        write(self.tensors(LATENT), values)
    }
    /// The values that forward and backward use, zeros included.
    pub fn read(&self) -> Result<Vec<f32>> {
        Ok(self.dense(self.gather(|segment| &segment.weight)?))
    }
    /// The gradient where there is one: that of weights that do not exist is 0.
    pub fn read_grad(&self) -> Result<Vec<f32>> {
        Ok(self.dense(self.gather(|segment| &segment.grad)?))
    }
    /// What the optimizer moves, as stored, end to end.
    pub fn read_stored(&self) -> Result<Vec<f32>> {
        read_f32(self.stored())
    }
    /// One tensor of every segment, as stored, end to end.
    pub fn gather<'a>(&'a self, of: impl Fn(&'a Segment) -> &'a Tensor) -> Result<Vec<f32>> {
        read_f32(self.segments.iter().map(of))
    }
    /// The values that files hold as the weight, as stored: those behind a mask, unless the weight does not follow from
    /// them and the mask alone. Then both are in files.
    pub fn read_filed(&self) -> Result<Vec<f32>> {
        if self.files_latent() { self.gather(|segment| &segment.weight) } else { self.read_stored() }
    }
    fn files_latent(&self) -> bool {
        self.companion(THRESHOLD).is_some()
    }
    /// The companions that are in files beside the weight.
    pub fn filed(&self) -> impl Iterator<Item = &Companion> {
        let files_latent = self.files_latent();
        self.companions.iter().filter(move |own| files_latent || own.name != LATENT)
    }
    pub fn filed_mut(&mut self) -> impl Iterator<Item = &mut Companion> {
        let files_latent = self.files_latent();
        self.companions.iter_mut().filter(move |own| files_latent || own.name != LATENT)
    }
    /// Lays out what is stored.
    pub fn dense(&self, values: Vec<f32>) -> Vec<f32> {
        match self.packed() {
            Some(packed) => packed.index.pattern.dense(&values),
            None => values,
        }
    }
    /// The mask as bits over the whole parameter: bit i % 32 of word i / 32.
    pub fn read_mask(&self) -> Result<Vec<u32>> {
        match &self.storage {
            Storage::Packed(packed) => Ok(packed.index.pattern.mask()),
            Storage::Dense => Ok(full_mask(self.len())),
            Storage::Masked(_) => {
                let mut all = vec![0u32; self.len().div_ceil(32)];
                let mut first = 0;
                for segment in &self.segments {
                    let words = segment.mask.read_u32()?;
                    for i in 0..segment.weight.len() {
                        let bit = words[i / 32] >> (i % 32) & 1;
                        all[(first + i) / 32] |= bit << ((first + i) % 32);
                    }
                    first += segment.weight.len();
                }
                Ok(all)
            }
        }
    }
    /// The indices of kept weights, in rising order.
    pub fn indices(&self) -> Result<Vec<u32>> {
        let Some(packed) = self.packed() else { return Ok(indices(&self.read_mask()?)) };
        let mut flat = packed.index.pattern.flat();
        flat.sort_unstable();
        Ok(flat)
    }
    /// How many weights are kept.
    pub fn kept(&self) -> Result<usize> {
        match self.packed() {
            Some(packed) => Ok(packed.index.pattern.kept()),
            None => Ok(kept(&self.read_mask()?)),
        }
    }
    /// Sets the mask from bits over the whole parameter. It must not be packed.
    pub fn write_mask(&self, bits: &[u32]) -> Result<()> {
        let mut first = 0;
        for segment in &self.segments {
            let len = segment.weight.len();
            let mut words = vec![0u32; len.div_ceil(32)];
            for i in 0..len {
                words[i / 32] |= (bits[(first + i) / 32] >> ((first + i) % 32) & 1) << (i % 32);
            }
            segment.mask.write(&words)?;
            first += len;
        }
        Ok(())
    }
}
