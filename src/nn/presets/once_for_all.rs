//! The networks of a space: inverted residual blocks (Sandler et al. 2018) in stages, as in Cai et al. 2020 without
//! squeeze and excitation.
//!
//! Layers have the same names in every network of a space, so that a smaller one's parameters are parts of the full one's.

use super::blocks::{Conv, batch_norm, conv, global_average_pool, resize};
use super::{Entry, Reads};
use crate::nn::graph::{Graph, Value};
use crate::nn::space::{self, Space, Subnet};

pub const ENTRY: Entry = Entry {
    name: space::PRESET,
    about: "stages of inverted residual blocks, the full network of a space that `[shrink]` trains: `kernels`, `expansions`, `depths` and `resolutions` from the largest to the smallest",
    reads: Reads::Images,
    optional: space::settings,
    build: |settings, input, classes| {
        let space = Space::read(settings)?;
        let side = input.sites.iter().copied().min().unwrap_or_default();
        if space.resolutions.iter().any(|&resolution| resolution >= side) {
            let wanted = format!("sides below {side}, that of the pictures");
            return Err(settings.wrong("resolutions", &wanted));
        }
        Ok(network(&space, &space.full(), classes))
    },
};

/// One network of a space.
pub fn network(space: &Space, subnet: &Subnet, classes: usize) -> Graph {
    let mut net = Graph::new();
    let [channels, stride] = space.stem;
    let mut x = net.data();
    if subnet.resolution > 0 {
        x = resize(&mut net, "resize", x, subnet.resolution);
    }
    let mut x = unit(&mut net, "stem", x, Conv::of(channels, 3).stride(stride));
    for block in (0..space.blocks()).filter(|block| space.has(subnet, *block)) {
        x = inverted(&mut net, space, subnet, block, x);
    }
    let x = unit(&mut net, "last", x, Conv::of(space.last, 1));
    let x = global_average_pool(&mut net, "pool", x);
    net.linear("head", x, classes);
    net
}

/// The name of a layer of a block, such as `stages.0.1.project`.
pub fn layer(space: &Space, block: usize, part: &str) -> String {
    format!("stages.{}.{}.{part}", block / space.deepest(), block % space.deepest())
}

/// A convolution, batch norm and ReLU.
fn unit(net: &mut Graph, name: &str, x: Value, one: Conv) -> Value {
    let x = conv(net, name, x, one);
    let x = batch_norm(net, &format!("{name}_norm"), x);
    net.relu(&format!("{name}_act"), x)
}

fn inverted(net: &mut Graph, space: &Space, subnet: &Subnet, block: usize, x: Value) -> Value {
    let (stage, place) = (block / space.deepest(), block % space.deepest());
    let [channels, first] = space.stages[stage];
    let stride = if place == 0 { first } else { 1 };
    let wide = space.width(block, subnet.expansions[block]);
    let name = |part: &str| layer(space, block, part);
    let y = unit(net, &name("expand"), x, Conv::of(wide, 1));
    let y = unit(net, &name("depth"), y, Conv::depthwise(wide).kernel(subnet.kernels[block]).stride(stride));
    let y = conv(net, &name("project"), y, Conv::of(channels, 1));
    let y = batch_norm(net, &name("project_norm"), y);
    let is_residual = stride == 1 && space.inputs(block) == channels;
    if is_residual { net.add(&name("add"), &[x, y]) } else { y }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Extent, Model};

    fn model(space: &Space, subnet: &Subnet) -> Model {
        let net = network(space, subnet, 10);
        Model::new(&net.into(), Extent::of_samples(&[1, 28, 28]), 10, 0).unwrap()
    }

    #[test]
    fn smaller_networks_have_parts_of_the_full_ones_parameters() {
        let settings = crate::recipe::Settings::default().resolve("preset", &space::settings()).unwrap();
        let space = Space::read(&settings).unwrap();
        let full = model(&space, &space.full());
        let some = model(&space, &space.parse("ks=3,5,7 e=3,4,6 d=1,2,2").unwrap());
        assert!(some.params.len() < full.params.len());
        for param in &some.params {
            let whole = &full.params[full.params.named(&param.name).expect("the full one has it")];
            assert_eq!(whole.shape.len(), param.shape.len(), "{}", param.name);
            assert!(param.shape.iter().zip(&whole.shape).all(|(own, whole)| own <= whole), "{}", param.name);
        }
        let shape = |name: &str| some.params[some.params.named(name).unwrap()].shape.clone();
        assert_eq!(shape("stages.0.0.depth.weight"), [48, 3, 3, 1]);
        assert_eq!(shape("stages.1.1.depth.weight"), [96, 5, 5, 1]);
        assert_eq!(shape("stages.2.1.project.weight"), [40, 1, 1, 240]);
        assert!(some.params.named("stages.0.1.depth.weight").is_none());
    }
}
