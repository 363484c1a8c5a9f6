//! VGG-19 with batch norm for small images, as papers on pruning have it: 16 convolutions and one linear layer.

use super::blocks::{Conv, batch_norm, conv, global_average_pool, max_pool};
use super::{Entry, Reads, activated, activation, scaled, width};
use crate::nn::Graph;

/// Channels, stage by stage; between two stages comes a pooling.
const STAGES: [(usize, usize); 5] = [(2, 64), (2, 128), (4, 256), (4, 512), (4, 512)];

pub const ENTRY: Entry = Entry {
    name: "vgg19-bn",
    about: "16 convolutions 3x3 with batch norm, 64 to 512 channels, 4 poolings",
    reads: Reads::Images,
    optional: || vec![width(), activation()],
    build: |settings, _, classes| {
        let mut net = Graph::new();
        let mut x = net.data();
        // Numbers of the layers in a row, as `nn.Sequential` counts them.
        let mut next = 0;
        let mut name = || {
            next += 1;
            format!("features.{}", next - 1)
        };
        for (stage, (convolutions, channels)) in STAGES.into_iter().enumerate() {
            for _ in 0..convolutions {
                x = conv(&mut net, &name(), x, Conv::of(scaled(settings, channels)?, 3));
                x = batch_norm(&mut net, &name(), x);
                x = activated(&mut net, settings, &name(), x)?;
            }
            if stage + 1 < STAGES.len() {
                x = max_pool(&mut net, &name(), x, 2, 2, 0);
            }
        }
        let x = global_average_pool(&mut net, "pool", x);
        net.linear("classifier", x, classes);
        Ok(net)
    },
};
