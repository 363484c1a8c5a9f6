//! Tensors and small uniform structs in the memory of a device, or of its twin.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, RwLock};

use super::bf16;
use super::device::{Gpu, Ledger, Target};
use super::kernel::{Field, Scalar, WgslStruct};
use super::plan::OFFSET_ALIGNMENT;
use crate::error::{Error, Result};

/// Element types of a tensor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dtype {
    #[default]
    F32,
    U32,
    /// Two to a word, in rows of multiples of eight: see `shaders/ops/bf16.wgsl`. Shaders bind the words.
    Bf16,
}

impl Dtype {
    pub(super) fn scalar(self) -> Scalar {
        match self {
            Dtype::F32 => Scalar::F32,
            Dtype::U32 | Dtype::Bf16 => Scalar::U32,
        }
    }
    /// Elements of a word.
    fn per_word(self) -> usize {
        if self == Dtype::Bf16 { 2 } else { 1 }
    }
    /// Words of a tensor of this shape; `None` where a row would end within one.
    pub(super) fn words(self, shape: &[usize]) -> Option<usize> {
        let whole = self != Dtype::Bf16 || shape.last().is_some_and(|cols| cols.is_multiple_of(8));
        whole.then(|| shape.iter().product::<usize>() / self.per_word())
    }
}

/// A buffer's memory: on the device, on the host for the twin, or none where plans are only counted.
pub(super) enum Storage {
    Device(wgpu::Buffer),
    Host(RwLock<Vec<u32>>),
    Counted,
}

pub(super) struct Buffer {
    pub label: String,
    pub bytes: u64,
    pub storage: Storage,
    pub ledger: Arc<Ledger>,
    /// Textures that mirror parts of the buffer, by first word, number of words and format: tensors that follow one another in
    /// a buffer may differ in it.
    pub mirrors: Mutex<HashMap<(usize, usize, wgpu::TextureFormat), Option<wgpu::Texture>>>,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.ledger.free(self.bytes + self.mirror_bytes());
    }
}

/// A run of words in a buffer, and what they are.
#[derive(Clone)]
pub(super) struct Span {
    pub buffer: Arc<Buffer>,
    pub first: usize,
    pub words: usize,
    pub dtype: Dtype,
}

impl Span {
    pub fn range(&self) -> Range<usize> {
        self.first..self.first + self.words
    }
    pub fn host(&self) -> &RwLock<Vec<u32>> {
        match &self.buffer.storage {
            Storage::Host(words) => words,
            _ => unreachable!("twins run on host memory only"),
        }
    }
    /// Bytes to bind: whole vec4s, so that shaders may read the padded tail.
    pub fn bound_bytes(&self) -> u64 {
        let bytes = (self.words.max(1) * 4).next_multiple_of(16) as u64;
        bytes.min(self.buffer.bytes - self.first as u64 * 4)
    }
}

/// A dense array on a device. Cloning shares the memory.
#[derive(Clone)]
pub struct Tensor {
    pub(super) label: Arc<str>,
    pub(super) span: Span,
    pub(super) gpu: Gpu,
    pub shape: Vec<usize>,
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?} {:?}", self.label, self.dtype(), self.shape)
    }
}

impl Tensor {
    /// The device that it belongs to.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }
    pub fn dtype(&self) -> Dtype {
        self.span.dtype
    }
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.span.words * self.dtype().per_word()
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    pub fn label(&self) -> &str {
        &self.label
    }
    /// Bytes of the elements, without padding.
    pub fn bytes(&self) -> u64 {
        self.span.words as u64 * 4
    }

    /// Rows `rows` of a tensor of rank ≥ 1, without copying. To be bound, the first must start on a
    /// multiple of 256 bytes.
    pub fn rows(&self, rows: Range<usize>) -> Tensor {
        let width: usize = self.shape[1..].iter().product();
        let mut shape = self.shape.clone();
        shape[0] = rows.len();
        self.view(self.span.first + rows.start * width / self.dtype().per_word(), &shape)
    }

    /// The first elements, in another shape, without copying.
    ///
    /// # Panics
    /// If there are not as many: a fault of the caller.
    pub fn first(&self, shape: &[usize]) -> Tensor {
        let len: usize = shape.iter().product();
        assert!(len <= self.len(), "{len} of {self:?}");
        self.view(self.span.first, shape)
    }

    /// From the first element of this one to the last of `next`, with the room between them, if that is the one that
    /// follows in the same memory.
    pub fn through(&self, next: &Tensor) -> Option<Tensor> {
        let follows = next.span.first == aligned(self.span.range().end);
        let is_next = follows && Arc::ptr_eq(&self.span.buffer, &next.span.buffer);
        let words = || next.span.range().end - self.span.first;
        is_next.then(|| self.view(self.span.first, &[words() * self.dtype().per_word()]))
    }

    /// Whether both begin at one place of the same memory.
    pub fn shares(&self, other: &Tensor) -> bool {
        Arc::ptr_eq(&self.span.buffer, &other.span.buffer) && self.span.first == other.span.first
    }

    /// Elements of the same memory, from another word on.
    fn view(&self, first: usize, shape: &[usize]) -> Tensor {
        let words = self.dtype().words(shape).expect("rows are of whole words");
        Tensor { span: Span { first, words, ..self.span.clone() }, shape: shape.to_vec(), ..self.clone() }
    }

    /// The beginning of the same memory, for another tensor.
    pub fn lend(&self, dtype: Dtype, shape: &[usize]) -> Tensor {
        let words = dtype.words(shape).expect("rows are of whole words");
        Tensor { span: Span { dtype, words, ..self.span.clone() }, shape: shape.to_vec(), ..self.clone() }
    }

    /// The same memory as words, whatever they mean.
    pub fn words(&self) -> Tensor {
        let mut words = Tensor { span: Span { dtype: Dtype::U32, ..self.span.clone() }, ..self.clone() };
        words.shape.iter_mut().last().into_iter().for_each(|cols| *cols /= self.dtype().per_word());
        words
    }

    /// Copies values in. The write is ordered before every later replay.
    pub fn write<T: bytemuck::Pod>(&self, values: &[T]) -> Result<()> {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        if bytes.len() as u64 != self.bytes() {
            return Err(Error::internal(format!("{} words written to {self:?}", bytes.len() / 4)));
        }
        self.gpu.write(&self.span, bytes)
    }
    /// Waits for the device and copies the values out, those of bf16 as f32.
    pub fn read_f32(&self) -> Result<Vec<f32>> {
        debug_assert_ne!(self.dtype(), Dtype::U32);
        let words = self.gpu.read(&self.span)?;
        Ok(if self.dtype() == Dtype::Bf16 { bf16::widen(&words) } else { bytemuck::cast_vec(words) })
    }
    /// Waits for the device and copies the values out.
    pub fn read_u32(&self) -> Result<Vec<u32>> {
        debug_assert_eq!(self.dtype(), Dtype::U32);
        self.gpu.read(&self.span)
    }
}

/// The first word at or after this one where a tensor may start, to be bound.
fn aligned(word: usize) -> usize {
    word.next_multiple_of(OFFSET_ALIGNMENT as usize / 4)
}

impl Gpu {
    /// Copies of tensors of one type, one after another in the same memory, each where it can be bound.
    ///
    /// # Errors
    /// `Kind::Memory` where the device has no room, or where all together exceed one binding.
    pub fn side_by_side(&self, label: &str, tensors: &[&Tensor]) -> Result<Vec<Tensor>> {
        let Some(first) = tensors.first() else { return Ok(Vec::new()) };
        let mut starts = Vec::new();
        let mut end = 0;
        for tensor in tensors {
            starts.push(aligned(end));
            end = aligned(end) + tensor.span.words;
        }
        let all = self.tensor(label, first.dtype(), &[end * first.dtype().per_word()])?;
        let part = |(tensor, start): (&&Tensor, usize)| Tensor {
            label: tensor.label.clone(),
            ..all.view(start, &tensor.shape)
        };
        let copies: Vec<Tensor> = tensors.iter().zip(starts).map(part).collect();
        self.copy(tensors.iter().copied().zip(&copies))?;
        Ok(copies)
    }

    /// Copies tensors into others that are as long.
    fn copy<'a>(&self, pairs: impl Iterator<Item = (&'a Tensor, &'a Tensor)>) -> Result<()> {
        let Target::Device(d) = &self.0.target else {
            return pairs.into_iter().try_for_each(|(from, to)| {
                let words = self.read(&from.span)?;
                self.write(&to.span, bytemuck::cast_slice(&words))
            });
        };
        let mut encoder =
            d.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("copy") });
        for (from, to) in pairs {
            if let (Storage::Device(source), Storage::Device(target)) =
                (&from.span.buffer.storage, &to.span.buffer.storage)
            {
                let (first, to_first) = (from.span.first as u64 * 4, to.span.first as u64 * 4);
                encoder.copy_buffer_to_buffer(source, first, target, to_first, from.bytes());
            }
        }
        d.queue.submit([encoder.finish()]);
        d.fault()
    }
}

/// A small struct in a uniform buffer, written by the host between steps.
#[derive(Clone)]
pub struct Uniform {
    pub(super) span: Span,
    pub(super) gpu: Gpu,
    pub(super) fields: Vec<Field>,
}

impl Uniform {
    /// Replaces the struct. The write is ordered before every later replay.
    pub fn write<T: WgslStruct>(&self, value: &T) -> Result<()> {
        debug_assert_eq!(self.fields, T::fields());
        self.gpu.write(&self.span, bytemuck::bytes_of(value))
    }
}
