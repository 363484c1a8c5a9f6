//! ResNets for large images (He et al. 2016), with torchvision's names.

use super::blocks::{Conv, batch_norm, conv, global_average_pool, max_pool};
use super::{Entry, Reads, scaled, width};
use crate::error::Result;
use crate::nn::graph::{Graph, Value};
use crate::recipe::Settings;

pub const RESNET18: Entry = Entry {
    name: "resnet18",
    about: "residual blocks of two 3x3 convolutions, 64 to 512 channels",
    reads: Reads::Images,
    optional: || vec![width()],
    build: |settings, _, classes| resnet(settings, Kind::Basic, [2, 2, 2, 2], classes),
};
pub const RESNET50: Entry = Entry {
    name: "resnet50",
    about: "residual blocks of 1x1, 3x3 and 1x1 convolutions, 256 to 2048 channels",
    reads: Reads::Images,
    optional: || vec![width()],
    build: |settings, _, classes| resnet(settings, Kind::Bottleneck, [3, 4, 6, 3], classes),
};

/// The blocks of a ResNet.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Basic,
    /// The stride is that of the 3x3 convolution.
    Bottleneck,
}

impl Kind {
    /// How many times as many channels go out of a block as it computes with.
    fn expansion(self) -> usize {
        if self == Kind::Basic { 1 } else { 4 }
    }
}

fn resnet(settings: &Settings, kind: Kind, blocks: [usize; 4], classes: usize) -> Result<Graph> {
    let mut net = Graph::new();
    let mut channels = scaled(settings, 64)?;
    let x = net.data();
    let x = conv(&mut net, "conv1", x, Conv::of(channels, 7).stride(2));
    let x = batch_norm(&mut net, "bn1", x);
    let x = net.relu("relu", x);
    let mut x = max_pool(&mut net, "maxpool", x, 3, 2, 1);
    for (stage, (blocks, own)) in (1..).zip(blocks.into_iter().zip([64, 128, 256, 512])) {
        let own = scaled(settings, own)?;
        for index in 0..blocks {
            let stride = if stage > 1 && index == 0 { 2 } else { 1 };
            x = block(&mut net, &format!("layer{stage}.{index}"), x, kind, [channels, own], stride);
            channels = own * kind.expansion();
        }
    }
    let x = global_average_pool(&mut net, "avgpool", x);
    net.linear("fc", x, classes);
    Ok(net)
}

fn block(
    net: &mut Graph,
    name: &str,
    x: Value,
    kind: Kind,
    [channels, own]: [usize; 2],
    stride: usize,
) -> Value {
    let of = |what: &str| format!("{name}.{what}");
    let out = own * kind.expansion();
    let convs = match kind {
        Kind::Basic => vec![Conv::of(own, 3).stride(stride), Conv::of(own, 3)],
        Kind::Bottleneck => vec![Conv::of(own, 1), Conv::of(own, 3).stride(stride), Conv::of(out, 1)],
    };
    let last = convs.len();
    let mut y = x;
    for (number, one) in (1..).zip(convs) {
        y = conv(net, &of(&format!("conv{number}")), y, one);
        y = batch_norm(net, &of(&format!("bn{number}")), y);
        if number < last {
            y = net.relu(&of(&format!("relu{number}")), y);
        }
    }
    let mut shortcut = x;
    if stride > 1 || channels != out {
        shortcut = conv(net, &of("downsample.0"), shortcut, Conv::of(out, 1).stride(stride));
        shortcut = batch_norm(net, &of("downsample.1"), shortcut);
    }
    let y = net.add(&of("add"), &[y, shortcut]);
    net.relu(&of("relu"), y)
}
