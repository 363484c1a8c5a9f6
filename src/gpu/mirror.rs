//! Textures that mirror tensors: kernels of software adapters read them many times as fast as buffers.
//!
//! A mirror is made when a kernel first asks for it and copied anew, on the device, before a kernel reads what another
//! one has written since.

use std::sync::Arc;

use super::device::{Gpu, Target};
use super::kernel::Scalar;
use super::plan::Dispatch;
use super::reflect::{Access, Layout, Slot};
use super::tensor::{Buffer, Span, Storage};
use crate::error::Result;

/// Texels in a row of a mirror: see `shaders/ops/texels.wgsl`.
const TEXELS: u32 = 1024;

/// Rows of a texture that holds so many words.
fn texel_rows(words: usize) -> u32 {
    words.div_ceil(4 * TEXELS as usize).max(1) as u32
}

/// Brings a texture up to date with the tensor that it mirrors.
pub(super) struct Copy {
    buffer: Arc<Buffer>,
    first: usize,
    words: usize,
    texture: wgpu::Texture,
}

/// The format of a texture that a slot reads.
pub(super) fn format(slot: &Slot) -> wgpu::TextureFormat {
    match slot.layout {
        Layout::Texels { scalar: Scalar::F32 } => wgpu::TextureFormat::Rgba32Float,
        _ => wgpu::TextureFormat::Rgba32Uint,
    }
}

impl Gpu {
    /// The texture that mirrors a span, as a slot reads it, made at the first asking; `None` where there is no device.
    pub(super) fn mirror(&self, span: &Span, slot: &Slot) -> Result<Option<wgpu::Texture>> {
        let mut mirrors = span.buffer.mirrors.lock().unwrap();
        // Spans from the beginning on share one texture, as large as the longest could be.
        let words = if span.first == 0 { span.buffer.bytes as usize / 4 } else { span.words };
        let key = (span.first, words, format(slot));
        if let Some(texture) = mirrors.get(&key) {
            return Ok(texture.clone());
        }
        let size = wgpu::Extent3d { width: TEXELS, height: texel_rows(words), depth_or_array_layers: 1 };
        let texture = match &self.0.target {
            Target::Device(d) => Some(d.checked(|| {
                d.device.create_texture(&wgpu::TextureDescriptor {
                    label: Some(&span.buffer.label),
                    size,
                    mip_level_count: 1,
                    sample_count: 1,
                    dimension: wgpu::TextureDimension::D2,
                    format: format(slot),
                    usage: wgpu::TextureUsages::STORAGE_BINDING | wgpu::TextureUsages::COPY_DST,
                    view_formats: &[],
                })
            })?),
            _ => None,
        };
        self.0.ledger.add(size.height as u64 * TEXELS as u64 * 16);
        mirrors.insert(key, texture.clone());
        Ok(texture)
    }
}

impl Buffer {
    /// Bytes of the mirrors, counted with the buffer's own.
    pub(super) fn mirror_bytes(&self) -> u64 {
        self.mirrors
            .lock()
            .unwrap()
            .keys()
            .map(|&(_, words, _)| texel_rows(words) as u64 * TEXELS as u64 * 16)
            .sum()
    }
}

/// The mirrors that a dispatch reads and that are not up to date within this replay; notes what it writes.
pub(super) fn copies(gpu: &Gpu, dispatch: &Dispatch, fresh: &mut Vec<Span>) -> Result<Vec<Copy>> {
    let mut all = Vec::new();
    for slot in dispatch.interface.slots.iter().filter(|slot| slot.access == Access::Texels) {
        let span = &dispatch.spans.iter().find(|(name, _)| *name == slot.name).expect("checked").1;
        let same = |other: &Span| Arc::ptr_eq(&other.buffer, &span.buffer) && other.range() == span.range();
        if let (Some(texture), false) = (gpu.mirror(span, slot)?, fresh.iter().any(same)) {
            all.push(Copy { buffer: span.buffer.clone(), first: span.first, words: span.words, texture });
            fresh.push(span.clone());
        }
    }
    for output in &dispatch.outputs {
        fresh.retain(|span| !Arc::ptr_eq(&span.buffer, &output.span.buffer));
    }
    Ok(all)
}

impl Copy {
    /// Copies whole rows, and what is left of the last one.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        let Storage::Device(buffer) = &self.buffer.storage else { return };
        let texels = self.words.div_ceil(4) as u32;
        let mut part = |row: u32, width: u32, height: u32| {
            if width == 0 || height == 0 {
                return;
            }
            let layout = wgpu::TexelCopyBufferLayout {
                offset: self.first as u64 * 4 + row as u64 * TEXELS as u64 * 16,
                bytes_per_row: Some(TEXELS * 16),
                rows_per_image: Some(height),
            };
            let to = wgpu::TexelCopyTextureInfo {
                texture: &self.texture,
                mip_level: 0,
                origin: wgpu::Origin3d { x: 0, y: row, z: 0 },
                aspect: wgpu::TextureAspect::All,
            };
            let size = wgpu::Extent3d { width, height, depth_or_array_layers: 1 };
            encoder.copy_buffer_to_texture(wgpu::TexelCopyBufferInfo { buffer, layout }, to, size);
        };
        part(0, TEXELS, texels / TEXELS);
        part(texels / TEXELS, texels % TEXELS, 1);
    }
}
