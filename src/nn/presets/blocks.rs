//! What networks of convolutions are made of.

use toml::{Table, Value as Toml};

use crate::nn::graph::{Graph, Value};
use crate::recipe::Settings;

/// The settings of a convolution.
#[derive(Clone, Copy)]
pub struct Conv {
    out: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    groups: usize,
    bias: bool,
}

impl Conv {
    /// Kernels of this size, with so much padding that a stride of 1 keeps height and width; without bias, since batch norm
    /// brings one.
    pub fn of(out: usize, kernel: usize) -> Self {
        Self { out, kernel, stride: 1, padding: kernel / 2, groups: 1, bias: false }
    }
    /// One 3x3 kernel a channel.
    pub fn depthwise(channels: usize) -> Self {
        Self { groups: channels, ..Self::of(channels, 3) }
    }
    pub fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }
    /// Kernels of another size, padded likewise.
    pub fn kernel(self, kernel: usize) -> Self {
        Self { kernel, padding: kernel / 2, ..self }
    }
    pub fn padding(self, padding: usize) -> Self {
        Self { padding, ..self }
    }
    pub fn with_bias(self) -> Self {
        Self { bias: true, ..self }
    }
}

fn settings<const N: usize>(numbers: [(&str, usize); N]) -> Settings {
    let entries = numbers.into_iter().map(|(key, number)| (key.to_string(), Toml::Integer(number as i64)));
    entries.collect::<Table>().into()
}

pub fn conv(net: &mut Graph, name: &str, x: Value, conv: Conv) -> Value {
    let Conv { out, kernel, stride, padding, groups, bias } = conv;
    let numbers =
        [("out", out), ("kernel", kernel), ("stride", stride), ("padding", padding), ("groups", groups)];
    let mut all = settings(numbers).values().clone();
    all.insert("bias".into(), Toml::Boolean(bias));
    if !bias {
        all.insert("init".into(), Toml::String("kaiming-out".into()));
    }
    net.layer("conv2d", name, &[x], all.into())
}

pub fn batch_norm(net: &mut Graph, name: &str, x: Value) -> Value {
    net.layer("batch_norm", name, &[x], Settings::default())
}

pub fn relu6(net: &mut Graph, name: &str, x: Value) -> Value {
    net.layer("relu6", name, &[x], Settings::default())
}

pub fn max_pool(
    net: &mut Graph,
    name: &str,
    x: Value,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Value {
    let numbers = [("kernel", kernel), ("stride", stride), ("padding", padding)];
    net.layer("max_pool", name, &[x], settings(numbers))
}

/// Every second site, downwards and across.
pub fn subsample(net: &mut Graph, name: &str, x: Value) -> Value {
    net.layer("average_pool", name, &[x], settings([("kernel", 1), ("stride", 2)]))
}

/// Channels of zeros before and after those that there are.
pub fn pad_channels(net: &mut Graph, name: &str, x: Value, before: usize, after: usize) -> Value {
    net.layer("pad_channels", name, &[x], settings([("before", before), ("after", after)]))
}

pub fn global_average_pool(net: &mut Graph, name: &str, x: Value) -> Value {
    net.layer("global_average_pool", name, &[x], Settings::default())
}

/// Images of `side` x `side` sites.
pub fn resize(net: &mut Graph, name: &str, x: Value, side: usize) -> Value {
    net.layer("resize", name, &[x], settings([("height", side), ("width", side)]))
}
