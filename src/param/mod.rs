//! A weight with its gradient and its mask, and a name; and all that belongs to it.
//!
//! A weight that exceeds one binding lies in several segments of whole rows; all others in one. A packed weight has
//! one segment, whose tensors hold the kept values alone, and an index that says where they belong.

use std::ops::Range;

use crate::error::{Error, Kind, Result};
use crate::gpu::{Dtype, Gpu, Tensor};
use crate::ops::packed::variants::Case;
use crate::ops::packed::{Form, Pattern};
use crate::ops::variants::{Choices, Shape};
use crate::ops::window::Window;

mod bits;
mod channels;
mod companion;
mod joint;
mod matrix;
mod repack;
mod set;
mod storage;
mod values;

pub use bits::{full_mask, indices, kept, mask_of};
pub use channels::{Axes, ChannelId, Channels, Width};
pub use companion::{
    AVERAGE, BACKWARD_SET, Companion, Data, EARLY, EVER, LATENT, Like, MEAN, RECORDED, TEACHER, THRESHOLD,
};
pub use joint::MANY;
pub use matrix::Matrix;
pub use set::{ParamId, ParamSet};
pub use storage::{MaskMode, Packed, Storage};

/// Segments begin on rows that are multiples of this, so that slices of activations start on 256 bytes.
const ROW_ALIGNMENT: usize = 64;

/// One binding's worth of a parameter.
#[derive(Clone)]
pub struct Segment {
    pub rows: Range<usize>,
    /// What forward and backward use.
    pub weight: Tensor,
    pub grad: Tensor,
    /// One bit a weight, 1 = kept; a single word of ones where there is no mask.
    pub mask: Tensor,
}

/// The value of an element before the first step.
pub type Initial = Box<dyn Fn(u32) -> f32>;
/// A factor on the values of an output that has so many inputs.
pub type ByInputs = Box<dyn Fn(usize) -> f32>;
/// Entries that the rows of a pattern are split into.
pub type Chunk = Box<dyn Fn(&Pattern) -> usize>;

/// A named parameter. It is declared first, and gets its memory once it is known how it is stored.
pub struct Param {
    /// `fc1.weight`.
    pub name: String,
    /// `(out, taps.., in)` or `(out,)`, as files and messages have it; see [`Param::matrix`].
    pub shape: Vec<usize>,
    /// Whether it may be pruned: the layer that declares it says so, or a rule that names it in full.
    pub prunable: bool,
    /// Whether its layer multiplies by all of it: what is looked up, added or scaled by has no packed products, and no
    /// operations to count.
    pub is_multiplied: bool,
    pub storage: Storage,
    /// Of a convolution's weight, what it is slid over.
    pub window: Option<Window>,
    /// Sites that it multiplies at where it is not slid: the steps of a sequence.
    pub sites: usize,
    /// Whether its product with one step needs that with the step before. Such products read f32 alone.
    pub recurrent: bool,
    /// What of it is kept together.
    pub form: Form,
    /// In how many equal parts of its outputs the same weights are kept, by N:M as well.
    pub alike: usize,
    /// Whether the diagonals of its square blocks are kept whatever becomes of the rest: of a recurrent weight, what each gate
    /// of a unit takes of the unit itself.
    pub keeps_diagonal: bool,
    /// Whether gradients flow on to its input.
    pub feeds_back: bool,
    /// The weight and bias whose outputs are this weight's inputs, one by one, where nobody else reads those on the way.
    pub before: Option<[ParamId; 2]>,
    /// Its layer does not train: no gradient of it is computed, no optimizer moves it, and a statistic stays as it is.
    pub frozen: bool,
    /// Of a running statistic, the share of each step's own that it takes over. What a step observes stands in its gradient.
    pub momentum: Option<f32>,
    /// How the rows of a packed weight are split for its gradient: as measured, once choices are known.
    pub chunk: Chunk,
    initial: Initial,
    /// By what its first values grow where an output has so many inputs in place of all: 1 where they do not go by that.
    pub by_inputs: ByInputs,
    /// Half of the width of the uniform distribution around 0 that its first values are drawn from, if they are.
    pub bound: Option<f32>,
    /// Of a packed parameter, one whose tensors hold the kept values alone.
    pub segments: Vec<Segment>,
    /// All else that belongs to it.
    pub companions: Vec<Companion>,
}

impl Param {
    /// A parameter that has no memory yet, and is never pruned.
    pub fn new(name: &str, shape: &[usize], initial: Initial) -> Self {
        Self {
            name: name.to_string(),
            shape: shape.to_vec(),
            prunable: false,
            is_multiplied: false,
            storage: Storage::Dense,
            window: None,
            sites: 1,
            recurrent: false,
            form: Form::Free,
            alike: 1,
            keeps_diagonal: false,
            feeds_back: true,
            before: None,
            frozen: false,
            momentum: None,
            chunk: Box::new(|pattern| {
                let shape = Shape::new(pattern.rows, pattern.inner, 0);
                Case::of(pattern, shape, false).chunk(&Choices::default())
            }),
            initial,
            by_inputs: Box::new(|_| 1.0),
            bound: None,
            segments: Vec::new(),
            companions: Vec::new(),
        }
    }

    /// The rows of each segment, where all values are stored.
    ///
    /// # Errors
    /// `Kind::Memory` if a single row exceeds a binding.
    pub fn spans(&self, gpu: &Gpu) -> Result<Vec<Range<usize>>> {
        let (name, shape, matrix) = (&self.name, &self.shape, self.matrix());
        let rows = matrix.rows;
        let fit = (gpu.limits().binding_bytes as usize / (matrix.inner().max(1) * 4)).min(rows.max(1));
        let step = if fit < rows { fit / ROW_ALIGNMENT * ROW_ALIGNMENT } else { fit };
        if step == 0 {
            return Err(Error::new(
                Kind::Memory,
                format!("{ROW_ALIGNMENT} rows of `{name}` exceed one binding"),
            )
            .at(format!("shape {shape:?}; a binding holds {} bytes", gpu.limits().binding_bytes))
            .hint("narrower layers"));
        }
        Ok((0..rows).step_by(step).map(|begin| begin..(begin + step).min(rows)).collect())
    }

    /// Stores all values, with a mask of ones unless it is dense, and writes the initial ones.
    ///
    /// # Errors
    /// `Kind::Memory` if a single row exceeds a binding or the device has no room.
    pub fn allocate(&mut self, gpu: &Gpu) -> Result<()> {
        self.storage = match self.mask_mode() {
            MaskMode::Free => Storage::Dense,
            mode => Storage::Masked(mode),
        };
        let (name, inner) = (&self.name, self.matrix().inner());
        let mut segments = Vec::new();
        for rows in self.spans(gpu)? {
            let extent = [&[rows.len()], &self.shape[1..]].concat();
            let len = rows.len() * inner;
            let mask = if self.is_masked() { full_mask(len) } else { vec![u32::MAX] };
            segments.push(Segment {
                rows,
                weight: gpu.tensor(name, Dtype::F32, &extent)?,
                grad: gpu.tensor(&format!("{name}.grad"), Dtype::F32, &extent)?,
                mask: gpu.upload_u32(&format!("{name}.mask"), &[mask.len()], &mask)?,
            });
        }
        self.segments = segments;
        self.renew_companions(gpu)?;
        let keeps_values = matches!(self.mask_mode(), MaskMode::Latent | MaskMode::Flowing);
        if keeps_values && self.companion(LATENT).is_none() {
            self.accompany(gpu, LATENT, Like::Values)?;
        }
        if gpu.is_counted() {
            return Ok(());
        }
        // A segment at a time: a large weight needs no second copy on the host.
        let mut latent = self.tensors(LATENT).iter();
        for segment in &self.segments {
            let first = (segment.rows.start * inner) as u32;
            let values: Vec<f32> =
                (0..segment.weight.len() as u32).map(|i| (self.initial)(first + i)).collect();
            segment.weight.write(&values)?;
            latent.next().map_or(Ok(()), |latent| latent.write(&values))?;
        }
        Ok(())
    }

    /// Holds from now on what flowed: the values that the forward pass saw are all that is left.
    pub fn hold(&mut self) {
        self.storage = Storage::Masked(MaskMode::Held);
        self.part_with(&[LATENT, RECORDED]);
    }

    /// Lets it begin with these values, `shape` row by row, in place of a draw. It must not have memory yet.
    pub fn begin_with(&mut self, values: Vec<f32>) {
        self.initial = Box::new(move |i| values[i as usize]);
        self.by_inputs = Box::new(|_| 1.0);
    }
    /// Draws its first values as if each output, a row of the matrix, had no more than these inputs. It must not have memory
    /// yet.
    pub fn scale_by_inputs(&mut self, counts: &[usize]) {
        let factors: Vec<f32> = counts.iter().map(|&count| (self.by_inputs)(count.max(1))).collect();
        let (inner, before) =
            (self.matrix().inner(), std::mem::replace(&mut self.initial, Box::new(|_| 0.0)));
        self.initial = Box::new(move |i| before(i) * factors[i as usize / inner]);
    }

    /// All values before the first step, pruned ones included.
    pub fn initial_values(&self) -> Vec<f32> {
        (0..self.len() as u32).map(|i| (self.initial)(i)).collect()
    }
    pub fn matrix(&self) -> Matrix {
        Matrix::of(&self.shape)
    }
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Whether it has rows and columns, as weights have; biases and scales have none.
    pub fn is_matrix(&self) -> bool {
        self.shape.len() > 1
    }
    /// The indices of weights that are kept in any case, in rising order.
    pub fn protected(&self) -> Vec<u32> {
        let inner = self.matrix().inner();
        let rows = if self.keeps_diagonal { self.matrix().rows } else { 0 };
        (0..rows).map(|row| (row * inner + row % inner) as u32).collect()
    }
    /// Its product for so many samples: of a recurrent weight, of all steps.
    pub fn product(&self, batch: usize) -> Shape {
        let matrix = self.matrix();
        let sites = self.window.map_or(self.sites, |window| window.out().iter().product());
        let steps = self.recurrent.then_some(sites);
        Shape { window: self.window, steps, ..Shape::new(matrix.rows, matrix.inner(), sites * batch) }
    }
    /// Whether its packed products read bf16, in a run that has it if `narrow`.
    pub fn is_narrow(&self, narrow: bool) -> bool {
        narrow && !self.recurrent
    }
    /// Which weights a mask keeps, where they are of the parameter's form.
    pub fn pattern(&self, mask: &[u32]) -> Option<Pattern> {
        let matrix = self.matrix();
        Pattern::from_mask(self.packed_form(), matrix.rows, matrix.inner(), mask)
    }
    /// A pattern as it is packed, from one of the parameter's form: N:M groups have a row for each tap.
    pub fn packed_pattern(&self, pattern: Pattern) -> Pattern {
        let (form, matrix) = (self.packed_form(), self.matrix());
        if pattern.form == form {
            return pattern;
        }
        let indices: Vec<u32> = pattern.indices().collect();
        Pattern::from_indices(form, matrix.rows, matrix.inner(), &indices)
    }
    /// What of it is stored together where it is packed.
    pub fn packed_form(&self) -> Form {
        self.form.packed(self.window.is_some())
    }
    /// Bytes on the device: values, gradient, mask, where packed values belong, and companions.
    pub fn bytes(&self) -> u64 {
        let segment = |b: &Segment| b.weight.bytes() + b.grad.bytes() + b.mask.bytes();
        let packed = |p: &Packed| p.index.bytes() + p.picked.bytes();
        let companions: u64 = self.companions.iter().map(Companion::bytes).sum();
        self.segments.iter().map(segment).sum::<u64>() + self.packed().map_or(0, packed) + companions
    }
    /// Whether weights of it may be pruned, however it is stored.
    pub fn is_masked(&self) -> bool {
        !matches!(self.storage, Storage::Dense)
    }
    /// Whether it has a gradient, where its layer trains: all but running statistics have.
    pub fn learns(&self) -> bool {
        self.momentum.is_none()
    }
    /// Whether its gradient is computed now, and an optimizer moves it.
    pub fn trains(&self) -> bool {
        self.learns() && !self.frozen
    }
    /// The packed storage, if it is that.
    pub fn packed(&self) -> Option<&Packed> {
        match &self.storage {
            Storage::Packed(packed) => Some(packed),
            _ => None,
        }
    }
    /// What happens to its pruned weights.
    pub fn mask_mode(&self) -> MaskMode {
        match self.storage {
            Storage::Dense => MaskMode::Free,
            Storage::Masked(mode) => mode,
            Storage::Packed(_) => MaskMode::Held,
        }
    }
    /// What an optimizer has to do about pruned weights: nothing where they do not exist, or are trained as others.
    pub fn update_mode(&self) -> MaskMode {
        match self.storage {
            Storage::Dense | Storage::Packed(_) | Storage::Masked(MaskMode::Flowing) => MaskMode::Free,
            Storage::Masked(mode) => mode,
        }
    }
    /// What the optimizer moves, by segment.
    pub fn stored(&self) -> Vec<&Tensor> {
        match self.tensors(LATENT) {
            [] => self.segments.iter().map(|segment| &segment.weight).collect(),
            latent => latent.iter().collect(),
        }
    }
    /// The masks of the weights that the optimizer moves, by segment.
    pub fn trained(&self) -> Vec<&Tensor> {
        match self.tensors(BACKWARD_SET) {
            [] => self.segments.iter().map(|segment| &segment.mask).collect(),
            set => set.iter().collect(),
        }
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
        let rows: Vec<_> = param.segments.iter().map(|b| b.rows.clone()).collect();
        assert_eq!(rows, [0..128, 128..256, 256..300]);
        let error = Param::new("w", &[300, 1000], Box::new(|_| 0.0)).allocate(&gpu).unwrap_err();
        assert_eq!(error.kind, Kind::Memory);
    }
}
