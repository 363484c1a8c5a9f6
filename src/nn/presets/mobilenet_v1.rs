//! MobileNet (Howard et al. 2017): depthwise and 1x1 convolutions in turns, with a width multiplier.

use super::blocks::{Conv, batch_norm, conv, global_average_pool};
use super::{Entry, Reads, scaled, width};
use crate::nn::{Extent, Graph};

/// Channels and stride of each pair.
const PAIRS: [(usize, usize); 13] = [
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
];

/// Images up to this height are not halved at once.
const SMALL: usize = 64;

/// The stride of the first convolution: 1 for small images.
pub fn first_stride(input: &Extent) -> usize {
    if input.sites[0] <= SMALL { 1 } else { 2 }
}

pub const ENTRY: Entry = Entry {
    name: "mobilenet-v1",
    about: "13 pairs of depthwise and 1x1 convolutions, 32 to 1024 channels; the first stride is 1 for images up to 64 high",
    reads: Reads::Images,
    optional: || vec![width()],
    build: |settings, input, classes| {
        let mut net = Graph::new();
        let mut channels = scaled(settings, 32)?;
        let x = net.data();
        let x = conv(&mut net, "conv1", x, Conv::of(channels, 3).stride(first_stride(input)));
        let x = batch_norm(&mut net, "bn1", x);
        let mut x = net.relu("act1", x);
        for (number, (out, stride)) in (1..).zip(PAIRS) {
            let out = scaled(settings, out)?;
            let of = |what: &str| format!("block{number}.{what}");
            x = conv(&mut net, &of("depthwise"), x, Conv::depthwise(channels).stride(stride));
            x = batch_norm(&mut net, &of("bn1"), x);
            x = net.relu(&of("act1"), x);
            x = conv(&mut net, &of("pointwise"), x, Conv::of(out, 1));
            x = batch_norm(&mut net, &of("bn2"), x);
            x = net.relu(&of("act2"), x);
            channels = out;
        }
        let x = global_average_pool(&mut net, "pool", x);
        net.linear("fc", x, classes);
        Ok(net)
    },
};
