//! What a network costs: multiplications, weights, bytes, memory, and time on a device.

use super::latency::{self, Table};
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::nn::presets::once_for_all::network;
use crate::nn::{Extent, Model, Schedule, Space, Subnet, Wish, place};
use crate::ops::variants::Choices;
use crate::recipe::{self, Network};
use crate::shrink::Pick;
use crate::train::thin::{self, Size};

/// A kind of cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Milliseconds of one forward pass.
    Latency,
    Macs,
    Weights,
    Bytes,
    Memory,
}

impl Kind {
    pub const ALL: [Kind; 5] = [Kind::Latency, Kind::Macs, Kind::Weights, Kind::Bytes, Kind::Memory];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Latency => "latency",
            Kind::Macs => "macs",
            Kind::Weights => "weights",
            Kind::Bytes => "bytes",
            Kind::Memory => "memory",
        }
    }
    /// What it is and its unit, for an axis.
    pub fn label(self) -> &'static str {
        match self {
            Kind::Latency => "latency (ms)",
            Kind::Macs => "multiplications a sample",
            Kind::Weights => "weights and biases",
            Kind::Bytes => "bytes in a file",
            Kind::Memory => "bytes of memory",
        }
    }
    /// Units that a limit may have, each with its factor.
    pub(super) fn units(self) -> &'static [(&'static str, f64)] {
        match self {
            Kind::Latency => &[("us", 1e-3), ("ms", 1.0), ("s", 1e3)],
            Kind::Macs | Kind::Weights => &[("", 1.0), ("k", 1e3), ("M", 1e6), ("G", 1e9)],
            Kind::Bytes | Kind::Memory => &[
                ("", 1.0),
                ("B", 1.0),
                ("kB", 1e3),
                ("MB", 1e6),
                ("GB", 1e9),
                ("KiB", 1024.0),
                ("MiB", 1048576.0),
                ("GiB", 1073741824.0),
            ],
        }
    }
    /// An amount in words.
    pub fn shown(self, amount: f64) -> String {
        match self {
            Kind::Latency => format!("{amount:.3} ms"),
            Kind::Macs | Kind::Weights => format!("{amount:.0}"),
            Kind::Bytes | Kind::Memory => format!("{amount:.0} B"),
        }
    }
}

/// What one network costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Costs {
    /// By the table of layers; `None` where there is no table. Pruned weights take the time of all.
    pub latency_ms: Option<f64>,
    /// Multiplications of kept weights for one sample.
    pub macs: u64,
    /// Weights and biases that are kept.
    pub weights: u64,
    /// Of a file: kept values, where they belong, and running statistics.
    pub bytes: u64,
    /// Of a device in a forward pass: all parameters, zeros included, and activations in buffers that they share.
    pub memory: u64,
}

impl Costs {
    /// One of them, in its unit; infinite where it is not known.
    pub fn of(&self, kind: Kind) -> f64 {
        match kind {
            Kind::Latency => self.latency_ms.unwrap_or(f64::INFINITY),
            Kind::Macs => self.macs as f64,
            Kind::Weights => self.weights as f64,
            Kind::Bytes => self.bytes as f64,
            Kind::Memory => self.memory as f64,
        }
    }
}

/// Counts what networks of a space cost; no device is needed.
pub struct Counter {
    pub space: Space,
    /// Of one sample.
    pub input: Extent,
    pub classes: usize,
    pub choices: Choices,
    /// Samples of a batch, for memory and latency.
    pub batch: usize,
    counted: Gpu,
}

impl Counter {
    pub fn new(
        gpu: &Gpu,
        space: &Space,
        input: &Extent,
        classes: usize,
        choices: &Choices,
        batch: usize,
    ) -> Self {
        let (space, input, choices) = (space.clone(), input.clone(), choices.clone());
        Self { counted: gpu.counted_like(), space, input, classes, choices, batch }
    }

    /// # Errors
    /// `Kind::Internal` where the table lacks a layer of the network.
    pub fn costs(&self, pick: &Pick, table: Option<&Table>) -> Result<Costs> {
        let (net, model) = self.model(&pick.subnet)?;
        let Size { macs, weights, bytes } = thin::size(&model.params, pick.density);
        let cols = self.columns();
        let schedule = Schedule::new(&model, &self.counted, &self.choices, cols, Wish::default());
        let activations: u64 = place(&schedule.lives).buffers.iter().map(|room| room.bytes).sum();
        let stored: usize = model.params.iter().map(|param| param.len()).sum();
        let latency = |table: &Table| {
            let missing = || Error::internal(format!("a layer of {pick} is not in the table of latencies"));
            table.latency(&latency::layers(&net, &model)).ok_or_else(missing)
        };
        let latency_ms = table.map(latency).transpose()?;
        Ok(Costs { latency_ms, macs, weights, bytes, memory: 4 * stored as u64 + activations })
    }

    /// The layers of a network as a table of latencies has them.
    pub fn layers(&self, subnet: &Subnet) -> Result<Vec<String>> {
        let (net, model) = self.model(subnet)?;
        Ok(latency::layers(&net, &model))
    }

    fn model(&self, subnet: &Subnet) -> Result<(Network, Model)> {
        let net: Network = network(&self.space, subnet, self.classes).into();
        let model = Model::new(&recipe::Model::Network(net.clone()), self.input.clone(), self.classes, 0)?;
        Ok((net, model))
    }

    /// Columns of a batch, as passes have it: whole vec4s.
    pub fn columns(&self) -> usize {
        self.batch.next_multiple_of(4)
    }
}
