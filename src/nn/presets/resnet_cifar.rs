//! ResNets for small images (He et al. 2016, section 4.2): three stages of 16, 32 and 64 channels, with shortcuts that have no
//! parameters (option A: every second site, and channels of zeros).

use super::blocks::{Conv, batch_norm, conv, global_average_pool, pad_channels, subsample};
use super::{Entry, Reads, activated, activation, scaled, width};
use crate::error::Result;
use crate::nn::graph::{Graph, Value};
use crate::recipe::Settings;

const fn entry(name: &'static str, about: &'static str, build: Build) -> Entry {
    Entry { name, about, reads: Reads::Images, optional: || vec![width(), activation()], build }
}
type Build = fn(&Settings, &crate::nn::Extent, usize) -> Result<Graph>;

pub const RESNET20: Entry =
    entry("resnet20", "3 stages of 3 residual blocks, 16 to 64 channels", |s, _, c| resnet(s, 3, c));
pub const RESNET32: Entry =
    entry("resnet32", "3 stages of 5 residual blocks, 16 to 64 channels", |s, _, c| resnet(s, 5, c));
pub const RESNET56: Entry =
    entry("resnet56", "3 stages of 9 residual blocks, 16 to 64 channels", |s, _, c| resnet(s, 9, c));

fn resnet(settings: &Settings, blocks: usize, classes: usize) -> Result<Graph> {
    let mut net = Graph::new();
    let mut channels = scaled(settings, 16)?;
    let x = net.data();
    let x = conv(&mut net, "conv1", x, Conv::of(channels, 3));
    let x = batch_norm(&mut net, "bn1", x);
    let mut x = activated(&mut net, settings, "act1", x)?;
    for (stage, out) in [(1, 16), (2, 32), (3, 64)] {
        let out = scaled(settings, out)?;
        for index in 0..blocks {
            let stride = if stage > 1 && index == 0 { 2 } else { 1 };
            let name = format!("layer{stage}.{index}");
            x = block(&mut net, settings, &name, x, [channels, out], stride)?;
            channels = out;
        }
    }
    let x = global_average_pool(&mut net, "pool", x);
    net.linear("fc", x, classes);
    Ok(net)
}

fn block(
    net: &mut Graph,
    settings: &Settings,
    name: &str,
    x: Value,
    [channels, out]: [usize; 2],
    stride: usize,
) -> Result<Value> {
    let of = |what: &str| format!("{name}.{what}");
    let y = conv(net, &of("conv1"), x, Conv::of(out, 3).stride(stride));
    let y = batch_norm(net, &of("bn1"), y);
    let y = activated(net, settings, &of("act1"), y)?;
    let y = conv(net, &of("conv2"), y, Conv::of(out, 3));
    let y = batch_norm(net, &of("bn2"), y);
    let mut shortcut = x;
    if stride > 1 {
        shortcut = subsample(net, &of("subsample"), shortcut);
    }
    if out > channels {
        let before = (out - channels) / 2;
        shortcut = pad_channels(net, &of("pad"), shortcut, before, out - channels - before);
    }
    let y = net.add(&of("add"), &[y, shortcut]);
    activated(net, settings, &of("act2"), y)
}
