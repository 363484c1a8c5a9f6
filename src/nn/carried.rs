//! What layers carry from one batch to the next: tensors that outlive passes.

use super::model::{Model, NodeId};
use crate::error::Result;
use crate::gpu::{Dtype, Gpu, Tensor};

/// By node, what its layer asked for by [`super::layer::Layer::carried`]. Cloning shares the memory.
#[derive(Clone, Default)]
pub struct Carried(Vec<Vec<Tensor>>);

impl Carried {
    /// Zeros of these shapes.
    ///
    /// # Errors
    /// `Kind::Memory` where the device has no room.
    pub fn new(gpu: &Gpu, shapes: &[Vec<Vec<usize>>]) -> Result<Self> {
        let tensor = |shape: &Vec<usize>| gpu.tensor("carried", Dtype::F32, shape);
        let of = |node: &Vec<Vec<usize>>| node.iter().map(tensor).collect::<Result<_>>();
        shapes.iter().map(of).collect::<Result<_>>().map(Self)
    }
    pub(super) fn of(&self, node: NodeId) -> &[Tensor] {
        self.0.get(node).map_or(&[], Vec::as_slice)
    }
    /// All tensors, with the names of their layers: `lstm`, and from the second one of a layer on `lstm.1`.
    pub fn named<'a>(&'a self, model: &'a Model) -> impl Iterator<Item = (String, &'a Tensor)> {
        let named = |number: usize, name: &str| match number {
            0 => name.to_string(),
            _ => format!("{name}.{number}"),
        };
        self.0.iter().zip(&model.nodes).flat_map(move |(own, node)| {
            own.iter().enumerate().map(move |(number, tensor)| (named(number, &node.name), tensor))
        })
    }
    /// Waits for the device and copies all values out.
    pub fn read(&self) -> Result<Vec<Vec<f32>>> {
        self.0.iter().flatten().map(Tensor::read_f32).collect()
    }
    /// Copies in what [`Carried::read`] copied out.
    pub fn write(&self, values: &[Vec<f32>]) -> Result<()> {
        self.0.iter().flatten().zip(values).try_for_each(|(tensor, values)| tensor.write(values))
    }
}
