//! A weight with its gradient and its mask, and a name.
//!
//! A weight that exceeds one binding lies in several blocks of whole rows; all others in one. A packed weight has
//! one block, whose tensors hold the kept values alone, and an index that says where they belong.

use std::ops::Range;

use crate::error::{Error, Kind, Result};
use crate::gpu::{Dtype, Gpu, Tensor};
use crate::ops::packed::variants::Case;
use crate::ops::packed::{Form, Index, Pattern};
use crate::ops::variants::{Choices, Shape};

mod bits;
mod set;
mod storage;

pub use bits::{full_mask, kept, mask_of, places};
pub use set::{ParamId, ParamSet};

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
    /// Pruned weights keep a value behind the mask and are trained; the forward pass sees some share of it.
    Flowing = 3,
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
    /// Which of them are trained, where these are more than the mask keeps: one bit a weight.
    pub reach: Option<Tensor>,
}

impl Block {
    /// What the optimizer moves.
    pub fn stored(&self) -> &Tensor {
        self.latent.as_ref().unwrap_or(&self.weight)
    }
    /// The mask of the weights that the optimizer moves.
    pub fn trained(&self) -> &Tensor {
        self.reach.as_ref().unwrap_or(&self.mask)
    }
    fn write(&self, values: &[f32]) -> Result<()> {
        self.weight.write(values)?;
        self.latent.as_ref().map_or(Ok(()), |latent| latent.write(values))
    }
    /// Groups of four weights, the last one padded.
    pub fn quads(&self) -> usize {
        self.weight.len().div_ceil(4)
    }
}

/// The value of an element before the first step.
pub type Initial = Box<dyn Fn(u32) -> f32>;
/// Entries that the rows of a pattern are split into.
pub type Chunk = Box<dyn Fn(&Pattern) -> usize>;

/// What a packed parameter has besides its one block of values.
pub struct Packed {
    pub index: Index,
    /// A bit for every value: what the last selection among them picked.
    pub picked: Tensor,
}

/// A named parameter. It is declared first, and gets its memory once it is known how it is stored.
pub struct Param {
    /// `fc1.weight`.
    pub name: String,
    /// `(out, in)` or `(out,)`.
    pub shape: Vec<usize>,
    pub flow: Flow,
    /// What of it is kept together.
    pub form: Form,
    /// Whether gradients flow on to its input.
    pub feeds_back: bool,
    /// No gradient of it is computed, and no optimizer moves it.
    pub frozen: bool,
    /// How the rows of a packed weight are split for its gradient: as measured, once choices are known.
    pub chunk: Chunk,
    initial: Initial,
    /// Half of the width of the uniform distribution around 0 that its first values are drawn from, if they are.
    pub bound: Option<f32>,
    /// Of a packed parameter, one whose tensors hold the kept values alone.
    pub blocks: Vec<Block>,
    pub packed: Option<Packed>,
}

impl Param {
    /// A parameter that has no memory yet.
    pub fn new(name: &str, shape: &[usize], initial: Initial) -> Self {
        Self {
            name: name.to_string(),
            shape: shape.to_vec(),
            flow: Flow::Free,
            form: Form::Free,
            feeds_back: true,
            frozen: false,
            chunk: Box::new(|pattern| Case::of(pattern, 0, false).chunk(&Choices::default())),
            initial,
            bound: None,
            blocks: Vec::new(),
            packed: None,
        }
    }

    /// The rows of each block, where all values are stored.
    ///
    /// # Errors
    /// `Kind::Memory` if a single row exceeds a binding.
    pub fn spans(&self, gpu: &Gpu) -> Result<Vec<Range<usize>>> {
        let (name, shape) = (&self.name, &self.shape);
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
        Ok((0..shape[0]).step_by(step).map(|begin| begin..(begin + step).min(shape[0])).collect())
    }

    /// Stores all values, with a mask of ones unless it is free, and writes the initial ones.
    ///
    /// # Errors
    /// `Kind::Memory` if a single row exceeds a binding or the device has no room.
    pub fn allocate(&mut self, gpu: &Gpu) -> Result<()> {
        let (name, shape) = (&self.name, &self.shape);
        let width: usize = shape[1..].iter().product();
        let mut blocks = Vec::new();
        for rows in self.spans(gpu)? {
            let mut extent = shape.to_vec();
            extent[0] = rows.len();
            let len = rows.len() * width;
            let mask = if self.flow == Flow::Free { vec![u32::MAX] } else { full_mask(len) };
            let latent = match self.flow {
                Flow::Latent | Flow::Flowing => {
                    Some(gpu.tensor(&format!("{name}.latent"), Dtype::F32, &extent)?)
                }
                _ => None,
            };
            blocks.push(Block {
                rows,
                weight: gpu.tensor(name, Dtype::F32, &extent)?,
                grad: gpu.tensor(&format!("{name}.grad"), Dtype::F32, &extent)?,
                mask: gpu.upload_u32(&format!("{name}.mask"), &[mask.len()], &mask)?,
                latent,
                reach: None,
            });
        }
        (self.blocks, self.packed) = (blocks, None);
        if gpu.is_counted() {
            return Ok(());
        }
        // A block at a time: a large weight needs no second copy on the host.
        for block in &self.blocks {
            let first = (block.rows.start * width) as u32;
            let values: Vec<f32> =
                (0..block.weight.len() as u32).map(|i| (self.initial)(first + i)).collect();
            block.write(&values)?;
        }
        Ok(())
    }

    /// Holds from now on what flowed: the values that the forward pass saw are all that is left.
    pub fn hold(&mut self) {
        self.flow = Flow::Held;
        self.blocks.iter_mut().for_each(|block| block.latent = None);
    }

    /// All values before the first step, pruned ones included.
    pub fn initial_values(&self) -> Vec<f32> {
        (0..self.len() as u32).map(|i| (self.initial)(i)).collect()
    }
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Its product with so many columns.
    pub fn product(&self, cols: usize) -> Shape {
        Shape::new(self.shape[0], self.shape[1..].iter().product(), cols)
    }
    /// Bytes on the device: values, gradient, mask, and where packed values belong.
    pub fn bytes(&self) -> u64 {
        let block = |b: &Block| {
            let behind = [&b.latent, &b.reach].into_iter().flatten().map(Tensor::bytes).sum::<u64>();
            b.weight.bytes() + b.grad.bytes() + b.mask.bytes() + behind
        };
        let packed = |p: &Packed| p.index.bytes() + p.picked.bytes();
        self.blocks.iter().map(block).sum::<u64>() + self.packed.as_ref().map_or(0, packed)
    }
    /// Whether pruning may mask it: weights of rank 2 and more, never biases.
    pub fn is_maskable(&self) -> bool {
        self.shape.len() > 1
    }
    /// Whether weights of it may be pruned, however it is stored.
    pub fn is_masked(&self) -> bool {
        self.flow != Flow::Free
    }
    /// What an optimizer has to do about pruned weights: nothing where they do not exist, or are trained as others.
    pub fn update_flow(&self) -> Flow {
        if self.packed.is_some() || self.flow == Flow::Flowing { Flow::Free } else { self.flow }
    }
    /// `dense`, `masked` or `packed`.
    pub fn storage(&self) -> &'static str {
        match (&self.packed, self.flow) {
            (Some(_), _) => "packed",
            (None, Flow::Free) => "dense",
            (None, _) => "masked",
        }
    }

    /// Sets all values, `shape` row by row. With a latent weight both get them.
    pub fn write(&self, values: &[f32]) -> Result<()> {
        if let Some(packed) = &self.packed {
            let kept: Vec<f32> = packed.index.pattern.flat().iter().map(|&i| values[i as usize]).collect();
            return self.blocks[0].write(&kept);
        }
        let mut rest = values;
        for block in &self.blocks {
            let (own, others) = rest.split_at(block.weight.len());
            block.write(own)?;
            rest = others;
        }
        Ok(())
    }
    /// The values that forward and backward use, zeros included.
    pub fn read(&self) -> Result<Vec<f32>> {
        self.dense(self.gather(|block| &block.weight)?)
    }
    /// The gradient where there is one: that of weights that do not exist is 0.
    pub fn read_grad(&self) -> Result<Vec<f32>> {
        self.dense(self.gather(|block| &block.grad)?)
    }
    fn dense(&self, values: Vec<f32>) -> Result<Vec<f32>> {
        Ok(self.packed.as_ref().map_or(values.clone(), |packed| packed.index.pattern.dense(&values)))
    }
    /// One tensor of every block, as stored, end to end.
    pub fn gather<'a>(&'a self, of: impl Fn(&'a Block) -> &'a Tensor) -> Result<Vec<f32>> {
        let mut all = Vec::new();
        for block in &self.blocks {
            all.extend(of(block).read_f32()?);
        }
        Ok(all)
    }
    /// The mask as bits over the whole parameter: bit i % 32 of word i / 32.
    pub fn read_mask(&self) -> Result<Vec<u32>> {
        if let Some(packed) = &self.packed {
            return Ok(packed.index.pattern.mask());
        }
        if !self.is_masked() {
            return Ok(full_mask(self.len()));
        }
        let mut all = vec![0u32; self.len().div_ceil(32)];
        let mut first = 0;
        for block in &self.blocks {
            let words = block.mask.read_u32()?;
            for i in 0..block.weight.len() {
                let bit = words[i / 32] >> (i % 32) & 1;
                all[(first + i) / 32] |= bit << ((first + i) % 32);
            }
            first += block.weight.len();
        }
        Ok(all)
    }
    /// The places of kept weights, in rising order.
    pub fn places(&self) -> Result<Vec<u32>> {
        match &self.packed {
            Some(packed) => {
                let mut flat = packed.index.pattern.flat();
                flat.sort_unstable();
                Ok(flat)
            }
            None => Ok(places(&self.read_mask()?)),
        }
    }
    /// How many weights are kept.
    pub fn kept(&self) -> Result<usize> {
        match &self.packed {
            Some(packed) => Ok(packed.index.pattern.kept()),
            None => Ok(kept(&self.read_mask()?)),
        }
    }
    /// Sets the mask from bits over the whole parameter. It must not be packed.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Limits;

    #[test]
    fn large_weights_lie_in_blocks_of_aligned_rows() {
        let limits = Limits { binding_bytes: 64 * 10 * 4 * 2 + 100, ..Limits::default() };
        let gpu = Gpu::counted_with(limits);
        let mut param = Param::new("w", &[300, 10], Box::new(|_| 0.0));
        param.allocate(&gpu).unwrap();
        let rows: Vec<_> = param.blocks.iter().map(|b| b.rows.clone()).collect();
        assert_eq!(rows, [0..128, 128..256, 256..300]);
        let error = Param::new("w", &[300, 1000], Box::new(|_| 0.0)).allocate(&gpu).unwrap_err();
        assert_eq!(error.kind, Kind::Memory);
    }
}
