//! Two small networks of convolutions side by side, and a head over what both answer.
//!
//! Isong 2025, "Building Efficient Lightweight CNN Models" (arXiv 2501.15547): one reads pictures as they are, the other the same
//! pictures varied. The paper gives numbers of parameters, 14,862 of 28x28x1 and 19,622 of 32x32x3, from which the layers follow;
//! activations are not published.

use toml::Value;

use super::blocks::{Conv, conv, max_pool};
use super::{Entry, Reads};
use crate::nn::Graph;

pub const ENTRY: Entry = Entry {
    name: "dual-cnn",
    about: "twice conv 3x3 10, pool, conv 3x3 20, pool, linear: of plain and of varied pictures; over both linear 32, linear",
    reads: Reads::Images,
    optional: || vec![("padding", Value::Integer(0))],
    build: |settings, _, classes| {
        let padding = settings.u32("padding")? as usize;
        let mut net = Graph::new();
        let mut sides = [("plain", net.plain_data()), ("varied", net.data())];
        // Layer by layer, so that those at the same depth can be unfrozen together.
        for (number, channels) in [(1, 10), (2, 20)] {
            for (side, x) in &mut sides {
                let own = Conv::of(channels, 3).padding(padding).with_bias();
                *x = conv(&mut net, &format!("{side}_conv{number}"), *x, own);
                *x = net.relu(&format!("{side}_act{number}"), *x);
                *x = max_pool(&mut net, &format!("{side}_pool{number}"), *x, 2, 2, 0);
            }
        }
        let answers = sides.map(|(side, x)| net.linear(&format!("{side}_out"), x, classes));
        let x = net.concat("both", &answers);
        let x = net.linear("fc1", x, 32);
        let x = net.relu("act", x);
        let head = net.linear("head", x, classes);
        for output in [head, answers[0], answers[1]] {
            net.output(output, 1.0);
        }
        Ok(net)
    },
};
