//! Which adapters there are, how they rank, and which one was chosen and why.

use std::str::FromStr;

use crate::error::{Error, Result};

/// What `--device` asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The best-ranked adapter; the CPU twin where there is none.
    #[default]
    Auto,
    /// The CPU twins of all kernels: no adapter at all.
    Twin,
    /// By its number in the list of `coppice devices`.
    Index(usize),
    /// By a part of its name or by its backend, whatever the case.
    Name(String),
}

impl FromStr for Choice {
    type Err = std::convert::Infallible;
    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Ok(match word {
            "auto" => Choice::Auto,
            "twin" => Choice::Twin,
            _ => word.parse().map(Choice::Index).unwrap_or_else(|_| Choice::Name(word.to_string())),
        })
    }
}

/// An adapter as the driver describes it.
#[derive(Clone, Debug)]
pub struct Adapter {
    pub index: usize,
    pub info: wgpu::AdapterInfo,
    pub(super) adapter: wgpu::Adapter,
}

impl Adapter {
    pub fn name(&self) -> &str {
        &self.info.name
    }
    /// `Vulkan`, `Metal`, `Dx12` or `Gl`.
    pub fn backend(&self) -> String {
        format!("{:?}", self.info.backend)
    }
    /// `discrete`, `integrated`, `virtual`, `cpu` or `other`.
    pub fn class(&self) -> &'static str {
        match self.info.device_type {
            wgpu::DeviceType::DiscreteGpu => "discrete",
            wgpu::DeviceType::IntegratedGpu => "integrated",
            wgpu::DeviceType::VirtualGpu => "virtual",
            wgpu::DeviceType::Cpu => "cpu",
            wgpu::DeviceType::Other => "other",
        }
    }
    pub fn driver(&self) -> String {
        format!("{} {}", self.info.driver, self.info.driver_info).trim().to_string()
    }
    /// Lower is better: the class first (a real GPU before a software one), then the backend, OpenGL last.
    fn rank(&self) -> (u8, u8) {
        let class = match self.info.device_type {
            wgpu::DeviceType::DiscreteGpu => 0,
            wgpu::DeviceType::IntegratedGpu => 1,
            wgpu::DeviceType::VirtualGpu => 2,
            wgpu::DeviceType::Other => 3,
            wgpu::DeviceType::Cpu => 4,
        };
        (class, u8::from(self.info.backend == wgpu::Backend::Gl))
    }
    /// Why this adapter cannot be used, if it cannot.
    pub fn obstacle(&self) -> Option<String> {
        let flags = self.adapter.get_downlevel_capabilities().flags;
        if !flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS) {
            return Some("it has no compute shaders".into());
        }
        let has = self.adapter.limits();
        let short =
            super::device::portable_limits().into_iter().find(|limit| (limit.of)(&has) < limit.wanted);
        short.map(|limit| format!("{} is {}, below WebGPU's {}", limit.name, (limit.of)(&has), limit.wanted))
    }
    /// Every portable limit by name: what is asked for, and what the adapter has.
    pub fn limits(&self) -> Vec<(&'static str, u64, u64)> {
        let has = self.adapter.limits();
        super::device::portable_limits()
            .iter()
            .map(|limit| (limit.name, limit.wanted, (limit.of)(&has)))
            .collect()
    }
    /// Whether dispatches can be timed on the device itself.
    pub fn has_timestamps(&self) -> bool {
        self.adapter.features().contains(wgpu::Features::TIMESTAMP_QUERY)
    }
    /// Whether it has subgroups, none of them smaller than eight invocations.
    pub fn has_subgroups(&self) -> bool {
        self.adapter.features().contains(wgpu::Features::SUBGROUP) && self.info.subgroup_min_size >= 8
    }
    fn describe(&self) -> String {
        format!("{} on {} ({}, {})", self.info.name, self.backend(), self.class(), self.driver())
    }
}

/// All adapters that drivers offer, best first.
pub fn adapters() -> Vec<Adapter> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.flags = wgpu::InstanceFlags::empty();
    let instance = wgpu::Instance::new(descriptor);
    let found = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    let mut all: Vec<_> =
        found.into_iter().map(|adapter| Adapter { index: 0, info: adapter.get_info(), adapter }).collect();
    all.sort_by_key(Adapter::rank);
    for (index, adapter) in all.iter_mut().enumerate() {
        adapter.index = index;
    }
    all
}

/// The adapter for a choice, and the reason in words; `None` stands for the twin.
pub(super) fn choose(choice: &Choice) -> Result<(Option<Adapter>, String)> {
    if *choice == Choice::Twin {
        return Ok((None, "asked for".into()));
    }
    let all = adapters();
    let list = all.iter().map(|a| format!("{}: {}", a.index, a.describe())).collect::<Vec<_>>().join("; ");
    let wanted = |adapter: &&Adapter| match choice {
        Choice::Auto => adapter.obstacle().is_none(),
        Choice::Index(index) => adapter.index == *index,
        Choice::Name(word) => {
            let word = word.to_lowercase();
            adapter.name().to_lowercase().contains(&word) || adapter.backend().to_lowercase() == word
        }
        Choice::Twin => false,
    };
    if let Some(adapter) = all.iter().find(wanted) {
        if let Some(obstacle) = adapter.obstacle() {
            return Err(Error::device(format!("adapter {} cannot be used: {obstacle}", adapter.describe()))
                .hint("another adapter (`coppice devices` lists them), or --device twin"));
        }
        let reason = match (choice, all.len()) {
            (Choice::Auto, 1) => "the only one".to_string(),
            (Choice::Auto, n) => format!("first of {n} by rank: {list}"),
            _ => "asked for".to_string(),
        };
        return Ok((Some(adapter.clone()), reason));
    }
    if *choice == Choice::Auto {
        let why = match all.first().and_then(Adapter::obstacle) {
            Some(obstacle) => format!("no adapter can be used: {obstacle}"),
            None => "no driver offers an adapter".to_string(),
        };
        return Ok((None, format!("{why}; install a Vulkan driver (a software one will do) for more speed")));
    }
    let found = if list.is_empty() { "none".to_string() } else { list };
    let asked = match choice {
        Choice::Index(index) => index.to_string(),
        Choice::Name(word) => format!("`{word}`"),
        _ => "any".to_string(),
    };
    Err(Error::device("no such adapter").at(format!("asked for: {asked}; found: {found}")).hint(
        "one of those found, by number or name; a Vulkan driver (a software one will do); or --device twin",
    ))
}
