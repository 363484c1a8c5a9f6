//! LeNet-5 (LeCun et al. 1998) as it is trained today: with ReLU, or another activation, and max pooling.

use super::blocks::{Conv, conv, max_pool};
use super::{Entry, Reads, activated, activation};
use crate::nn::Graph;

pub const ENTRY: Entry = Entry {
    name: "lenet5",
    about: "conv 5x5 6, pool, conv 5x5 16, pool, linear 120, 84",
    reads: Reads::Images,
    optional: || vec![activation()],
    build: |settings, _, classes| {
        let mut net = Graph::new();
        let x = net.data();
        let x = conv(&mut net, "conv1", x, Conv::of(6, 5).with_bias());
        let x = activated(&mut net, settings, "act1", x)?;
        let x = max_pool(&mut net, "pool1", x, 2, 2, 0);
        let x = conv(&mut net, "conv2", x, Conv::of(16, 5).padding(0).with_bias());
        let x = activated(&mut net, settings, "act2", x)?;
        let mut x = max_pool(&mut net, "pool2", x, 2, 2, 0);
        for (number, out) in [(1, 120), (2, 84)] {
            x = net.linear(&format!("fc{number}"), x, out);
            x = activated(&mut net, settings, &format!("act{}", number + 2), x)?;
        }
        net.linear("head", x, classes);
        Ok(net)
    },
};
