//! Several tensors read with one wait: a wait takes as long as many small copies.

use super::device::{Gpu, STAGING_BYTES, Target};
use super::tensor::{Storage, Tensor};
use crate::error::Result;

impl Gpu {
    /// Waits for the device and copies the values of all these tensors out, as words.
    pub fn read_all(&self, tensors: &[&Tensor]) -> Result<Vec<Vec<u32>>> {
        let total: u64 = tensors.iter().map(|tensor| tensor.bytes()).sum();
        let Target::Device(d) = &self.0.target else { return self.read_each(tensors) };
        if total == 0 || total > STAGING_BYTES {
            return self.read_each(tensors);
        }
        let staging = d.staging.lock().unwrap();
        let mut encoder =
            d.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("reads") });
        let mut to = 0;
        for Tensor { span, .. } in tensors.iter().filter(|tensor| !tensor.is_empty()) {
            if let Storage::Device(from) = &span.buffer.storage {
                let bytes = span.words as u64 * 4;
                encoder.copy_buffer_to_buffer(from, span.first as u64 * 4, &staging, to, bytes);
                to += bytes;
            }
        }
        d.queue.submit([encoder.finish()]);
        let mut words = Vec::with_capacity(total as usize / 4);
        d.map(&staging, to, &mut words)?;
        let mut rest = words.into_iter();
        Ok(tensors.iter().map(|tensor| rest.by_ref().take(tensor.len()).collect()).collect())
    }

    fn read_each(&self, tensors: &[&Tensor]) -> Result<Vec<Vec<u32>>> {
        tensors.iter().map(|tensor| self.read(&tensor.span)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Choice, Dtype};

    #[test]
    fn values_come_tensor_by_tensor_however_many() {
        let large = STAGING_BYTES as usize / 4;
        for gpu in [Gpu::twin(), Gpu::open(&Choice::Auto).unwrap()] {
            let numbers = |len: usize| {
                let all: Vec<u32> = (0..len as u32).map(|i| i * 7 + len as u32).collect();
                (gpu.upload_u32("numbers", &[len], &all).unwrap(), all)
            };
            let none = gpu.tensor("none", Dtype::U32, &[0]).unwrap();
            for len in [1, 3, 257, large - 3, large] {
                let ((few, want), (many, all)) = (numbers(3), numbers(len));
                let read = gpu.read_all(&[&few, &none, &many.first(&[len - 1]), &many]).unwrap();
                assert!(read == [want, vec![], all[..len - 1].to_vec(), all], "{len}");
            }
            assert_eq!(gpu.read_all(&[]).unwrap().len(), 0);
            assert_eq!(gpu.read_all(&[&none]).unwrap(), [Vec::<u32>::new()]);
        }
    }
}
