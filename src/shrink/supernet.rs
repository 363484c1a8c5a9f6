//! Subnets over the stored parameters of the full network.
//!
//! What is cut out lies in rooms that all subnets share, one a parameter and as large as that: another subnet takes no
//! memory. A parameter that a subnet has whole is read where it is stored.

use std::collections::HashMap;

use super::pick::{Density, Pick};
use super::{cut, taps};
use crate::error::{Error, Kind, Result};
use crate::gpu::{Dtype, Gpu, Phase, Recorder, Tensor};
use crate::nn::presets::once_for_all::{layer, network};
use crate::nn::{Extent, Model, Space, Subnet};
use crate::param::{Param, ParamId, ParamSet, Segment, TEACHER};

/// Declares the matrices of kernel transformation: of each block one for each smaller kernel, the identity at first, and
/// frozen until [`free`] says otherwise.
pub fn declare(space: &Space, params: &mut ParamSet) {
    for block in 0..space.blocks() {
        for &kernel in &space.kernels[1..] {
            let taps = kernel * kernel;
            let identity = move |i: u32| if i as usize / taps == i as usize % taps { 1.0 } else { 0.0 };
            let name = matrix(&layer(space, block, "depth"), kernel);
            let mut param = Param::new(&name, &[taps, taps], Box::new(identity));
            param.frozen = true;
            params.declare(param);
        }
    }
}

/// Lets the matrices train, or not. Returns whether that is new.
pub fn free(space: &Space, params: &mut ParamSet, trains: bool) -> bool {
    let mut is_new = false;
    for block in 0..space.blocks() {
        for &kernel in &space.kernels[1..] {
            let Some(id) = params.named(&matrix(&layer(space, block, "depth"), kernel)) else { continue };
            is_new |= std::mem::replace(&mut params[id].frozen, !trains) == trains;
        }
    }
    is_new
}

/// The name of the matrix that makes a kernel of this size.
fn matrix(layer: &str, kernel: usize) -> String {
    format!("{layer}.to_{kernel}.weight")
}

/// The full network with the weights that [`TEACHER`] keeps.
///
/// # Errors
/// `Kind::Internal` where there are none.
pub fn teacher(mut model: Model, stored: &ParamSet) -> Result<Model> {
    for param in model.params.iter_mut() {
        let own = &stored[named(stored, &param.name)?];
        param.segments = own.segments.clone();
        if own.learns() {
            let weight = own.tensors(TEACHER).first();
            let missing = || Error::internal(format!("the teacher has no `{}`", param.name));
            param.segments[0].weight = weight.ok_or_else(missing)?.clone();
        }
    }
    Ok(model)
}

fn named(stored: &ParamSet, name: &str) -> Result<ParamId> {
    stored.named(name).ok_or_else(|| Error::internal(format!("the full network has no `{name}`")))
}

/// Memory for what is cut out.
pub struct Supernet {
    pub space: Space,
    input: Extent,
    classes: usize,
    rooms: HashMap<String, Room>,
    /// The mask of what has none.
    ones: Tensor,
}

/// For one parameter of the full network.
struct Room {
    weight: Tensor,
    grad: Tensor,
    links: Vec<Link>,
}

/// A step of kernel transformation: x is the middle of the kernel before, y the matrix times x.
#[derive(Clone)]
struct Link {
    matrix: ParamId,
    x: Tensor,
    y: Tensor,
    d_x: Tensor,
    d_y: Tensor,
}

impl Supernet {
    /// # Errors
    /// `Kind::Memory` where the device has no room, or a weight exceeds one binding.
    pub fn new(gpu: &Gpu, space: &Space, input: &Extent, classes: usize, stored: &ParamSet) -> Result<Self> {
        let mut rooms = HashMap::new();
        for param in stored {
            if param.segments.len() != 1 {
                let what =
                    format!("`{}` exceeds one binding, and no subnet can be cut out of it", param.name);
                return Err(Error::new(Kind::Memory, what).hint("narrower layers"));
            }
            let tensor = |what: &str, shape: &[usize]| {
                gpu.tensor(&format!("{} {what}", param.name), Dtype::F32, shape)
            };
            let layer = param.name.strip_suffix(".weight").unwrap_or_default();
            let mut links = Vec::new();
            for &kernel in &space.kernels[1..] {
                let Some(matrix) = stored.named(&matrix(layer, kernel)) else { continue };
                let shape = [param.shape[0], kernel, kernel, param.shape[3]];
                links.push(Link {
                    matrix,
                    x: tensor("middle", &shape)?,
                    y: tensor("transformed", &shape)?,
                    d_x: tensor("middle.grad", &shape)?,
                    d_y: tensor("transformed.grad", &shape)?,
                });
            }
            let (weight, grad) = (tensor("part", &param.shape)?, tensor("part.grad", &param.shape)?);
            rooms.insert(param.name.clone(), Room { weight, grad, links });
        }
        let ones = gpu.upload_u32("no mask", &[1], &[u32::MAX])?;
        Ok(Self { space: space.clone(), input: input.clone(), classes, rooms, ones })
    }

    /// Of the memory for what is cut out.
    pub fn bytes(&self) -> u64 {
        let link =
            |link: &Link| [&link.x, &link.y, &link.d_x, &link.d_y].map(Tensor::bytes).iter().sum::<u64>();
        let room =
            |room: &Room| room.weight.bytes() + room.grad.bytes() + room.links.iter().map(link).sum::<u64>();
        self.rooms.values().map(room).sum()
    }

    /// The network of a subnet, as a recipe has it.
    pub fn network(&self, subnet: &Subnet) -> crate::recipe::Model {
        network(&self.space, subnet, self.classes).into()
    }

    /// A subnet whose parameters lie in the rooms. It is valid as long as no other one is recorded into them and replayed.
    ///
    /// # Errors
    /// `Kind::Internal` where the stored parameters are of another network.
    pub fn part(&self, subnet: &Subnet, stored: &ParamSet) -> Result<Part> {
        self.lay_out(subnet, stored, false)
    }

    /// As [`Supernet::part`], of which no parameter lies where it is stored: they can be written.
    pub fn copy(&self, subnet: &Subnet, stored: &ParamSet) -> Result<Part> {
        self.lay_out(subnet, stored, true)
    }

    fn lay_out(&self, subnet: &Subnet, stored: &ParamSet, apart: bool) -> Result<Part> {
        let mut model = Model::new(&self.network(subnet), self.input.clone(), self.classes, 0)?;
        let mut cuts = Vec::new();
        for param in model.params.iter_mut() {
            let whole = named(stored, &param.name)?;
            let (room, segment) = (&self.rooms[&param.name], &stored[whole].segments[0]);
            let lend = |tensor: &Tensor| tensor.lend(Dtype::F32, &param.shape);
            let is_whole = !apart && param.shape == stored[whole].shape && param.learns();
            let weight = if is_whole { segment.weight.clone() } else { lend(&room.weight) };
            let grad = lend(&room.grad);
            param.segments = vec![Segment { rows: 0..param.shape[0], weight, grad, mask: self.ones.clone() }];
            let own = &param.segments[0];
            let smaller = |link: &&Link| param.shape.len() == 4 && link.x.shape[1] >= param.shape[1];
            let fit = |link: &Link| {
                let shape = [param.shape[0], link.x.shape[1], link.x.shape[2], param.shape[3]];
                let fit = |tensor: &Tensor| tensor.lend(Dtype::F32, &shape);
                let is_last = shape[..] == param.shape;
                Link {
                    matrix: link.matrix,
                    x: fit(&link.x),
                    y: if is_last { own.weight.clone() } else { fit(&link.y) },
                    d_x: fit(&link.d_x),
                    d_y: if is_last { own.grad.clone() } else { fit(&link.d_y) },
                }
            };
            let links = room.links.iter().filter(smaller).map(fit).collect();
            cuts.push(Cut { whole, is_whole, links });
        }
        Ok(Part { subnet: subnet.clone(), density: Density::Full, model, cuts })
    }
}

/// A subnet as a network of its own.
pub struct Part {
    pub subnet: Subnet,
    /// What was kept of its weights after they were cut out.
    pub density: Density,
    pub model: Model,
    /// By parameter.
    cuts: Vec<Cut>,
}

/// How a parameter comes out of a stored one.
struct Cut {
    whole: ParamId,
    /// It is read where it is stored.
    is_whole: bool,
    links: Vec<Link>,
}

impl Part {
    /// What it is, as people name it.
    pub fn pick(&self) -> Pick {
        Pick { subnet: self.subnet.clone(), density: self.density }
    }
    /// Parameters with a gradient, each with its cut. Statistics are observed anew for each subnet.
    fn learned(&self) -> impl Iterator<Item = (&Param, &Cut)> {
        self.model.params.iter().zip(&self.cuts).filter(|(param, _)| param.learns())
    }

    /// Records how the parameters are cut out of the stored ones.
    pub fn record_weights(&self, rec: &mut Recorder, stored: &ParamSet) -> Result<()> {
        rec.phase(Phase::Forward);
        for (param, cut) in self.learned().filter(|(_, cut)| !cut.is_whole) {
            rec.scope(&param.name);
            let mut from = &stored[cut.whole].segments[0].weight;
            for link in &cut.links {
                cut::record_cut(rec, from, &link.x)?;
                taps::record(rec, &stored[link.matrix].segments[0].weight, &link.x, &link.y)?;
                from = &link.y;
            }
            if cut.links.is_empty() {
                cut::record_cut(rec, from, &param.segments[0].weight)?;
            }
        }
        Ok(())
    }

    /// Records how the gradients are added to those of the stored parameters, after the backward pass.
    pub fn record_gradients(&self, rec: &mut Recorder, stored: &ParamSet) -> Result<()> {
        rec.phase(Phase::Backward);
        for (param, cut) in self.learned() {
            rec.scope(&param.name);
            let mut grad = &param.segments[0].grad;
            for (number, link) in cut.links.iter().enumerate().rev() {
                let matrix = &stored[link.matrix].segments[0];
                taps::record_grad(rec, &link.x, &link.d_y, &matrix.grad)?;
                taps::record_back(rec, &matrix.weight, &link.d_y, &link.d_x)?;
                grad = &link.d_x;
                if let Some(before) = number.checked_sub(1) {
                    cut::record_fill(rec, &link.d_x, &cut.links[before].d_y)?;
                }
            }
            cut::record_add(rec, grad, &stored[cut.whole].segments[0].grad)?;
        }
        Ok(())
    }
}

/// Records that all gradients of the stored parameters become 0.
pub fn record_clear(rec: &mut Recorder, stored: &ParamSet) -> Result<()> {
    rec.phase(Phase::Backward);
    for param in stored.iter().filter(|param| param.trains()) {
        rec.scope(&param.name);
        param.segments.iter().try_for_each(|segment| cut::record_clear(rec, &segment.grad))?;
    }
    Ok(())
}
