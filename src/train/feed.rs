//! A part of a data set on the device, and the order in which its samples come.

use crate::data::{self, Dataset, Samples, Split};
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::ops::batch::{Part, Set, pack_bytes};

/// Samples on the device. Bytes stay bytes: a pixel becomes a float when its batch is assembled.
pub struct Feed {
    pub set: Set,
    pub samples: usize,
    batch: usize,
}

impl Feed {
    /// Uploads a part of a data set, in as many bindings as it takes.
    pub fn new(gpu: &Gpu, data: &Dataset, split: &Split, batch: usize) -> Result<Self> {
        let features = data.features();
        let bytes_per_sample = match split.images {
            Samples::Bytes(_) => features,
            Samples::Floats(_) => features * 4,
        };
        let fit = (gpu.limits().binding_bytes as usize / bytes_per_sample.max(1)).max(1);
        let mut parts = Vec::new();
        for begin in (0..split.len()).step_by(fit) {
            let end = (begin + fit).min(split.len());
            let range = begin * features..end * features;
            let samples = match &split.images {
                Samples::Bytes(bytes) => {
                    let words = pack_bytes(&bytes[range]);
                    gpu.upload_u32("samples", &[words.len()], &words)?
                }
                Samples::Floats(values) => gpu.upload_f32("samples", &[range.len()], &values[range])?,
            };
            parts.push(Part { begin, end, samples });
        }
        let labels = pack_bytes(&split.labels);
        let order: Vec<u32> = (0..split.len() as u32).collect();
        let set = Set {
            parts,
            labels: gpu.upload_u32("labels", &[labels.len()], &labels)?,
            order: gpu.upload_u32("order", &[order.len()], &order)?,
            features,
            normal: Set::normal(gpu, &data.scale, &data.shift)?,
            augment: None,
        };
        Ok(Self { set, samples: split.len(), batch })
    }

    /// Batches in one pass, the last one perhaps smaller.
    pub fn batches(&self) -> usize {
        self.samples.div_ceil(self.batch)
    }
    /// The first sample and the number of samples of a batch.
    pub fn range(&self, batch: usize) -> (usize, usize) {
        let first = batch * self.batch;
        (first, self.batch.min(self.samples - first))
    }
    /// Puts the samples into the order of an epoch, and chooses how they are varied: functions of (seed, epoch) alone.
    pub fn shuffle(&self, seed: u64, epoch: u64) -> Result<()> {
        self.set.augment.as_ref().map_or(Ok(()), |augment| augment.enter(seed, number(epoch)?))?;
        self.set.order.write(&self.order(seed, epoch)?)
    }
    /// The order of an epoch.
    pub fn order(&self, seed: u64, epoch: u64) -> Result<Vec<u32>> {
        Ok(data::order(seed, number(epoch)?, self.samples))
    }
}

fn number(epoch: u64) -> Result<u32> {
    u32::try_from(epoch).map_err(|_| Error::usage("a run has at most 2^32 epochs"))
}
