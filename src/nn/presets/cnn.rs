//! Two convolutions and two linear layers: the smallest network that is one of convolutions.

use super::blocks::{Conv, conv, max_pool};
use super::{Entry, Reads, activated, activation, scaled, width};
use crate::nn::Graph;

pub const ENTRY: Entry = Entry {
    name: "cnn",
    about: "conv 3x3 32, pool, conv 3x3 64, pool, linear 128, linear",
    reads: Reads::Images,
    optional: || vec![width(), activation()],
    build: |settings, _, classes| {
        let mut net = Graph::new();
        let mut x = net.data();
        for (number, channels) in [(1, 32), (2, 64)] {
            x = conv(
                &mut net,
                &format!("conv{number}"),
                x,
                Conv::of(scaled(settings, channels)?, 3).with_bias(),
            );
            x = activated(&mut net, settings, &format!("act{number}"), x)?;
            x = max_pool(&mut net, &format!("pool{number}"), x, 2, 2, 0);
        }
        let x = net.linear("fc1", x, scaled(settings, 128)?);
        let x = activated(&mut net, settings, "act3", x)?;
        net.linear("head", x, classes);
        Ok(net)
    },
};
