//! MobileNetV2 (Sandler et al. 2018): inverted residual blocks, with torchvision's names and a width multiplier.

use super::blocks::{Conv, batch_norm, conv, global_average_pool, relu6};
use super::mobilenet_v1::first_stride;
use super::{Entry, Reads, width};
use crate::error::Result;
use crate::nn::graph::{Graph, Value};
use crate::nn::space;
use crate::recipe::Settings;

/// Expansion, channels, blocks, and the stride of the first.
const STAGES: [(usize, usize, usize, usize); 7] = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
];

pub const ENTRY: Entry = Entry {
    name: "mobilenet-v2",
    about: "17 inverted residual blocks, 32 to 1280 channels; the first stride is 1 for images up to 64 high",
    reads: Reads::Images,
    optional: || vec![width()],
    build: |settings, input, classes| {
        let mut net = Graph::new();
        let mut channels = eighths(settings, 32)?;
        let x = net.data();
        let mut x = unit(&mut net, "features.0", x, Conv::of(channels, 3).stride(first_stride(input)));
        let mut number = 1;
        for (expansion, out, blocks, first) in STAGES {
            let out = eighths(settings, out)?;
            for index in 0..blocks {
                let stride = if index == 0 { first } else { 1 };
                let name = format!("features.{number}");
                x = block(&mut net, &name, x, expansion, [channels, out], stride);
                (channels, number) = (out, number + 1);
            }
        }
        // A width below 1 does not make the last convolution narrower.
        let last = eighths(settings, 1280)?.max(1280);
        let x = unit(&mut net, &format!("features.{number}"), x, Conv::of(last, 1));
        let x = global_average_pool(&mut net, "pool", x);
        net.linear("classifier.1", x, classes);
        Ok(net)
    },
};

/// So many channels times the width, as a multiple of eight.
fn eighths(settings: &Settings, channels: usize) -> Result<usize> {
    Ok(space::eighths(super::scaled(settings, channels)? as f64))
}

/// A convolution, batch norm and ReLU6.
fn unit(net: &mut Graph, name: &str, x: Value, one: Conv) -> Value {
    let x = conv(net, &format!("{name}.0"), x, one);
    let x = batch_norm(net, &format!("{name}.1"), x);
    relu6(net, &format!("{name}.2"), x)
}

fn block(
    net: &mut Graph,
    name: &str,
    x: Value,
    expansion: usize,
    [channels, out]: [usize; 2],
    stride: usize,
) -> Value {
    let wide = channels * expansion;
    let mut y = x;
    let mut number = 0;
    if expansion > 1 {
        y = unit(net, &format!("{name}.conv.0"), y, Conv::of(wide, 1));
        number = 1;
    }
    y = unit(net, &format!("{name}.conv.{number}"), y, Conv::depthwise(wide).stride(stride));
    y = conv(net, &format!("{name}.conv.{}", number + 1), y, Conv::of(out, 1));
    y = batch_norm(net, &format!("{name}.conv.{}", number + 2), y);
    if stride == 1 && channels == out { net.add(&format!("{name}.add"), &[x, y]) } else { y }
}
