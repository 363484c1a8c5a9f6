//! `coppice devices`: adapters, limits, and the choice among them.

use serde_json::{Value, json};

use super::{Device, print_json, say, say_beside};
use crate::error::Result;
use crate::gpu::{Adapter, adapters};

#[derive(clap::Args)]
pub struct Devices {
    #[command(flatten)]
    device: Device,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Every adapter that drivers offer, with its limits.
pub fn json() -> Value {
    let adapter = |a: &Adapter| {
        let limits: serde_json::Map<_, _> = a
            .limits()
            .into_iter()
            .map(|(name, wanted, has)| (name.to_string(), json!({ "asked_for": wanted, "has": has })))
            .collect();
        json!({
            "index": a.index, "name": a.name(), "backend": a.backend(), "class": a.class(), "driver": a.driver(),
            "timestamps": a.has_timestamps(), "subgroups": a.has_subgroups(), "obstacle": a.obstacle(),
            "limits": limits,
        })
    };
    adapters().iter().map(adapter).collect()
}

/// The same, for people.
pub fn lines() -> Vec<String> {
    let mut all = Vec::new();
    for a in adapters() {
        let (backend, class, driver) = (a.backend(), a.class(), a.driver());
        all.push(format!("{}: {} on {backend} ({class}), driver {driver}", a.index, a.name()));
        let clock = if a.has_timestamps() { "by the device's timestamps" } else { "by the wall clock" };
        all.push(format!("   kernels are timed {clock}"));
        let lanes = if a.has_subgroups() { "can" } else { "cannot" };
        all.push(format!("   {lanes} share numbers between eight invocations (subgroups)"));
        for (name, wanted, has) in a.limits() {
            let mark = if has < wanted { "  TOO LOW" } else { "" };
            all.push(format!("   {name}: {has} (asked for: {wanted}){mark}"));
        }
        all.extend(a.obstacle().map(|obstacle| format!("   cannot be used: {obstacle}")));
    }
    all
}

impl Devices {
    pub fn run(&self) -> Result<()> {
        let chosen = self.device.open()?.identity().clone();
        if self.json {
            return print_json(&json!({ "schema": 1, "adapters": json(), "chosen": chosen }));
        }
        for line in lines() {
            let text = line.trim_start();
            say_beside(&line[..line.len() - text.len()], text)?;
        }
        say("twin: the CPU twins of all kernels, always there")?;
        say_beside("chosen: ", &format!("{} on {}: {}", chosen.adapter, chosen.backend, chosen.reason))
    }
}
