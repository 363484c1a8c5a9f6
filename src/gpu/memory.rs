//! Memory of a device: tensors and uniforms are made, written and read.

use std::sync::{Arc, RwLock};

use super::device::{Gpu, STAGING_BYTES, Target};
use super::kernel::WgslStruct;
use super::tensor::{Buffer, Dtype, Span, Storage, Tensor, Uniform};
use crate::error::{Error, Kind, Result};

impl Gpu {
    /// A tensor of zeros.
    ///
    /// # Errors
    /// `Kind::Memory` where the device has no room, or where it exceeds one binding: callers split first.
    pub fn tensor(&self, label: &str, dtype: Dtype, shape: &[usize]) -> Result<Tensor> {
        let words = dtype.words(shape).ok_or_else(|| {
            Error::internal(format!(
                "tensor `{label}` of shape {shape:?}: bf16 comes in rows of multiples of 8"
            ))
        })?;
        let bytes = words as u64 * 4;
        if bytes > self.0.limits.binding_bytes {
            return Err(Error::new(
                Kind::Memory,
                format!("tensor `{label}` of {bytes} bytes exceeds one binding"),
            )
            .at(format!("shape {shape:?}; a binding holds {} bytes", self.0.limits.binding_bytes))
            .hint("a smaller batch or layer"));
        }
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        let buffer = self.buffer(label, bytes, usage)?;
        let span = Span { buffer: Arc::new(buffer), first: 0, words, dtype };
        Ok(Tensor { label: label.into(), span, gpu: self.clone(), shape: shape.to_vec() })
    }
    /// An f32 tensor with these values.
    pub fn upload_f32(&self, label: &str, shape: &[usize], values: &[f32]) -> Result<Tensor> {
        let tensor = self.tensor(label, Dtype::F32, shape)?;
        tensor.write(values)?;
        Ok(tensor)
    }
    /// A u32 tensor with these values.
    pub fn upload_u32(&self, label: &str, shape: &[usize], values: &[u32]) -> Result<Tensor> {
        let tensor = self.tensor(label, Dtype::U32, shape)?;
        tensor.write(values)?;
        Ok(tensor)
    }
    /// A uniform struct that the host rewrites between steps.
    pub fn uniform<T: WgslStruct>(&self, label: &str, value: &T) -> Result<Uniform> {
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let buffer = Arc::new(self.buffer(label, size_of::<T>() as u64, usage)?);
        let span = Span { buffer, first: 0, words: size_of::<T>() / 4, dtype: Dtype::U32 };
        let uniform = Uniform { span, gpu: self.clone(), fields: T::fields() };
        uniform.write(value)?;
        Ok(uniform)
    }

    pub(super) fn buffer(&self, label: &str, bytes: u64, usage: wgpu::BufferUsages) -> Result<Buffer> {
        // Whole vec4s: shaders may read the padded tail, and std140 structs end on 16 bytes.
        let bytes = bytes.max(16).next_multiple_of(16);
        let storage = match &self.0.target {
            Target::Device(d) => Storage::Device(d.checked(|| {
                d.device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some(label),
                    size: bytes,
                    usage,
                    mapped_at_creation: false,
                })
            })?),
            Target::Twin => Storage::Host(RwLock::new(vec![0; bytes as usize / 4])),
            Target::Counted => Storage::Counted,
        };
        self.0.ledger.add(bytes);
        Ok(Buffer {
            label: label.to_string(),
            bytes,
            storage,
            ledger: self.0.ledger.clone(),
            mirrors: Default::default(),
        })
    }

    pub(super) fn write(&self, span: &Span, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        match (&self.0.target, &span.buffer.storage) {
            (Target::Device(d), Storage::Device(buffer)) => {
                d.queue.write_buffer(buffer, span.first as u64 * 4, bytes);
                d.fault()
            }
            (_, Storage::Host(words)) => {
                let mut words = words.write().unwrap();
                let words = &mut words[span.first..span.first + bytes.len() / 4];
                bytemuck::cast_slice_mut::<u32, u8>(words).copy_from_slice(bytes);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn read(&self, span: &Span) -> Result<Vec<u32>> {
        match (&self.0.target, &span.buffer.storage) {
            (Target::Device(d), Storage::Device(buffer)) => {
                let staging = d.staging.lock().unwrap();
                let mut words = Vec::with_capacity(span.words);
                while words.len() < span.words {
                    let take = (span.words - words.len()).min(STAGING_BYTES as usize / 4);
                    let first = (span.first + words.len()) as u64 * 4;
                    d.fetch(buffer, first, &staging, take as u64 * 4, &mut words)?;
                }
                Ok(words)
            }
            (_, Storage::Host(words)) => Ok(words.read().unwrap()[span.range()].to_vec()),
            _ => Ok(vec![0; span.words]),
        }
    }
}
