//! A weight with its gradient and its mask, and a name.
//!
//! A weight that exceeds one binding lies in several blocks of whole rows; all others in one.

use std::ops::Range;

use crate::error::{Error, Kind, Result};
use crate::gpu::{Dtype, Gpu, Tensor};

/// Blocks begin on rows that are multiples of this, so that slices of activations start on 256 bytes.
const ROW_ALIGNMENT: usize = 64;

/// What happens to a pruned weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// There is no mask.
    Free = 0,
    /// Pruned weights and their optimizer slots are exactly 0.
    Held = 1,
    /// Pruned weights keep a value behind the mask and see no gradient; the forward pass sees 0.
    Latent = 2,
}

/// One binding's worth of a parameter.
#[derive(Clone)]
pub struct Block {
    pub rows: Range<usize>,
    /// What forward and backward use.
    pub weight: Tensor,
    pub grad: Tensor,
    /// One bit a weight, 1 = kept; a single word of ones where there is no mask.
    pub mask: Tensor,
    /// The values behind the mask, if pruned weights keep one.
    pub latent: Option<Tensor>,
}

impl Block {
    /// What the optimizer moves.
    pub fn stored(&self) -> &Tensor {
        self.latent.as_ref().unwrap_or(&self.weight)
    }
    /// Groups of four weights, the last one padded.
    pub fn quads(&self) -> usize {
        self.weight.len().div_ceil(4)
    }
}

/// A named parameter.
pub struct Param {
    /// `fc1.weight`.
    pub name: String,
    /// `(out, in)` or `(out,)`.
    pub shape: Vec<usize>,
    pub flow: Flow,
    pub blocks: Vec<Block>,
}

impl Param {
    /// A parameter of zeros without a mask.
    ///
    /// # Errors
    /// `Kind::Memory` if a single row exceeds a binding or the device has no room.
    pub fn new(gpu: &Gpu, name: &str, shape: &[usize]) -> Result<Self> {
        let width: usize = shape[1..].iter().product();
        let fit = (gpu.limits().binding_bytes as usize / (width.max(1) * 4)).min(shape[0].max(1));
        let step = if fit < shape[0] { fit / ROW_ALIGNMENT * ROW_ALIGNMENT } else { fit };
        if step == 0 {
            return Err(Error::new(
                Kind::Memory,
                format!("{ROW_ALIGNMENT} rows of `{name}` exceed one binding"),
            )
            .at(format!("shape {shape:?}; a binding holds {} bytes", gpu.limits().binding_bytes))
            .hint("narrower layers"));
        }
        let mut blocks = Vec::new();
        for begin in (0..shape[0]).step_by(step) {
            let rows = begin..(begin + step).min(shape[0]);
            let mut extent = shape.to_vec();
            extent[0] = rows.len();
            blocks.push(Block {
                rows,
                weight: gpu.tensor(name, Dtype::F32, &extent)?,
                grad: gpu.tensor(&format!("{name}.grad"), Dtype::F32, &extent)?,
                mask: gpu.upload_u32(&format!("{name}.mask"), &[1], &[u32::MAX])?,
                latent: None,
            });
        }
        Ok(Self { name: name.to_string(), shape: shape.to_vec(), flow: Flow::Free, blocks })
    }

    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Whether pruning may mask it: weights of rank 2 and more, never biases.
    pub fn is_maskable(&self) -> bool {
        self.shape.len() > 1
    }
    pub fn is_masked(&self) -> bool {
        self.flow != Flow::Free
    }

    /// Gives every block a mask of ones, and a latent weight if pruned weights keep their value.
    pub fn mask_with(&mut self, gpu: &Gpu, flow: Flow) -> Result<()> {
        self.flow = flow;
        for block in &mut self.blocks {
            let len = block.weight.len();
            block.mask =
                gpu.upload_u32(&format!("{}.mask", self.name), &[len.div_ceil(32)], &full_mask(len))?;
            if flow == Flow::Latent {
                block.latent =
                    Some(gpu.tensor(&format!("{}.latent", self.name), Dtype::F32, &block.weight.shape)?);
            }
        }
        Ok(())
    }

    /// Sets the values, `shape` row by row. With a latent weight both get them.
    pub fn write(&self, values: &[f32]) -> Result<()> {
        let mut rest = values;
        for block in &self.blocks {
            let (own, others) = rest.split_at(block.weight.len());
            block.weight.write(own)?;
            if let Some(latent) = &block.latent {
                latent.write(own)?;
            }
            rest = others;
        }
        Ok(())
    }
    /// The values that forward and backward use.
    pub fn read(&self) -> Result<Vec<f32>> {
        self.gather(|block| &block.weight)
    }
    pub fn read_grad(&self) -> Result<Vec<f32>> {
        self.gather(|block| &block.grad)
    }
    /// One tensor of every block, end to end.
    pub fn gather<'a>(&'a self, of: impl Fn(&'a Block) -> &'a Tensor) -> Result<Vec<f32>> {
        let mut all = Vec::with_capacity(self.len());
        for block in &self.blocks {
            all.extend(of(block).read_f32()?);
        }
        Ok(all)
    }
    /// The mask as bits over the whole parameter: bit i % 32 of word i / 32.
    pub fn read_mask(&self) -> Result<Vec<u32>> {
        let mut all = vec![0u32; self.len().div_ceil(32)];
        let mut first = 0;
        for block in &self.blocks {
            let words = block.mask.read_u32()?;
            for i in 0..block.weight.len() {
                let bit = if self.is_masked() { words[i / 32] >> (i % 32) & 1 } else { 1 };
                all[(first + i) / 32] |= bit << ((first + i) % 32);
            }
            first += block.weight.len();
        }
        Ok(all)
    }
    /// Sets the mask from bits over the whole parameter.
    pub fn write_mask(&self, bits: &[u32]) -> Result<()> {
        let mut first = 0;
        for block in &self.blocks {
            let len = block.weight.len();
            let mut words = vec![0u32; len.div_ceil(32)];
            for i in 0..len {
                words[i / 32] |= (bits[(first + i) / 32] >> ((first + i) % 32) & 1) << (i % 32);
            }
            block.mask.write(&words)?;
            first += len;
        }
        Ok(())
    }
}

/// A mask that keeps all of `len` weights; bits beyond the end are 0.
pub fn full_mask(len: usize) -> Vec<u32> {
    let word = |first: usize| if len - first >= 32 { u32::MAX } else { (1u32 << (len - first)) - 1 };
    (0..len).step_by(32).map(word).collect()
}

/// How many weights a mask keeps.
pub fn kept(mask: &[u32]) -> usize {
    mask.iter().map(|word| word.count_ones() as usize).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Limits;

    #[test]
    fn full_masks_have_no_bits_beyond_the_end() {
        for len in [0, 1, 31, 32, 33, 63, 64, 65, 257] {
            assert_eq!(kept(&full_mask(len)), len);
        }
    }

    #[test]
    fn large_weights_lie_in_blocks_of_aligned_rows() {
        let limits = Limits { binding_bytes: 64 * 10 * 4 * 2 + 100, ..Limits::default() };
        let gpu = Gpu::counted_with(limits);
        let param = Param::new(&gpu, "w", &[300, 10]).unwrap();
        let rows: Vec<_> = param.blocks.iter().map(|b| b.rows.clone()).collect();
        assert_eq!(rows, [0..128, 128..256, 256..300]);
        let error = Param::new(&gpu, "w", &[300, 1000]).err().unwrap();
        assert_eq!(error.kind, Kind::Memory);
    }
}
