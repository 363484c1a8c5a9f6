//! `coppice devices`: adapters, limits, and the choice among them.

use serde_json::json;

use super::{Device, print_json, say};
use crate::error::Result;
use crate::gpu::adapters;

#[derive(clap::Args)]
pub struct Devices {
    #[command(flatten)]
    device: Device,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Devices {
    pub fn run(&self) -> Result<()> {
        let all = adapters();
        let chosen = self.device.open()?.identity().clone();
        if self.json {
            let adapter = |a: &crate::gpu::Adapter| {
                let limits: serde_json::Map<_, _> = a
                    .limits()
                    .into_iter()
                    .map(|(name, wanted, has)| (name.to_string(), json!({ "asked_for": wanted, "has": has })))
                    .collect();
                json!({
                    "index": a.index, "name": a.name(), "backend": a.backend(), "class": a.class(),
                    "driver": a.driver(), "timestamps": a.has_timestamps(), "subgroups": a.has_subgroups(), "obstacle": a.obstacle(), "limits": limits,
                })
            };
            let list: Vec<_> = all.iter().map(adapter).collect();
            return print_json(&json!({ "schema": 1, "adapters": list, "chosen": chosen }));
        }
        for a in &all {
            say(&format!(
                "{}: {} on {} ({}), driver {}",
                a.index,
                a.name(),
                a.backend(),
                a.class(),
                a.driver()
            ))?;
            let clock = if a.has_timestamps() { "by the device's timestamps" } else { "by the wall clock" };
            say(&format!("   kernels are timed {clock}"))?;
            let lanes = if a.has_subgroups() { "can" } else { "cannot" };
            say(&format!("   {lanes} share numbers between eight invocations (subgroups)"))?;
            for (name, wanted, has) in a.limits() {
                let mark = if has < wanted { "  TOO LOW" } else { "" };
                say(&format!("   {name}: {has} (asked for: {wanted}){mark}"))?;
            }
            if let Some(obstacle) = a.obstacle() {
                say(&format!("   cannot be used: {obstacle}"))?;
            }
        }
        say("twin: the CPU twins of all kernels, always there")?;
        say(&format!("chosen: {} on {}: {}", chosen.adapter, chosen.backend, chosen.reason))
    }
}
