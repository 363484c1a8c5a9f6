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
    type Err = Error;
    fn from_str(word: &str) -> Result<Self> {
        match word.trim().to_lowercase().as_str() {
            "" => Err(Error::usage("the name of a device is empty")
                .hint("auto, twin, a number or a name: `coppice devices` lists them")),
            "auto" => Ok(Choice::Auto),
            "twin" => Ok(Choice::Twin),
            word => Ok(word.parse().map(Choice::Index).unwrap_or_else(|_| Choice::Name(word.to_string()))),
        }
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
            super::limits::portable_limits().into_iter().find(|limit| (limit.of)(&has) < limit.wanted);
        short.map(|limit| format!("{} is {}, below WebGPU's {}", limit.name, (limit.of)(&has), limit.wanted))
    }
    /// Every portable limit by name: what is asked for, and what the adapter has.
    pub fn limits(&self) -> Vec<(&'static str, u64, u64)> {
        let has = self.adapter.limits();
        super::limits::portable_limits()
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
    fn describe_numbered(&self) -> String {
        format!("{}: {}", self.index, self.describe())
    }
    fn describe(&self) -> String {
        format!("{} on {} ({}, {})", self.info.name, self.backend(), self.class(), self.driver())
    }
}

/// Why the first of these adapters was taken.
fn asked_for(fitting: &[String]) -> String {
    match fitting {
        [] | [_] => "asked for".to_string(),
        several => format!("first of {} that are meant, by rank: {}", several.len(), several.join("; ")),
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
    let list = all.iter().map(Adapter::describe_numbered).collect::<Vec<_>>().join("; ");
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
            _ => asked_for(&all.iter().filter(wanted).map(Adapter::describe_numbered).collect::<Vec<_>>()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_whatever_the_case() {
        let choice = |word: &str| word.parse::<Choice>().unwrap();
        assert_eq!([choice("TWIN"), choice("Auto")], [Choice::Twin, Choice::Auto]);
        assert_eq!([choice("1"), choice("Lava")], [Choice::Index(1), Choice::Name("lava".into())]);
        for empty in ["", " "] {
            assert!(empty.parse::<Choice>().unwrap_err().to_string().contains("is empty"));
        }
    }

    #[test]
    fn of_several_that_are_meant_all_are_named() {
        let named =
            |names: &[&str]| asked_for(&names.iter().map(|name| name.to_string()).collect::<Vec<_>>());
        assert_eq!(named(&["0: a"]), "asked for");
        assert_eq!(named(&["0: a", "1: a"]), "first of 2 that are meant, by rank: 0: a; 1: a");
    }
}
